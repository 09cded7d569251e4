"""The error tree: every class has a code, and families do not mix."""

from __future__ import annotations

import inspect

import pytest

from juststorage import errors
from juststorage.errors import JustStorageError, PluginError

# docs: the table of statuses and codes, by the family that decides the status.
FAMILIES: dict[type[JustStorageError], set[str]] = {
    errors.Invalid: {
        "invalid_request",
        "invalid_name",
        "invalid_metadata",
        "invalid_cursor",
        "digest_mismatch",
        "body_too_large",
        "upload_too_slow",
        "idempotency_mismatch",
    },
    errors.Denied: {
        "denied",
        "unauthenticated",
        "tenant_forbidden",
        "scope_missing",
        "rate_limited",
    },
    errors.NotFound: {"not_found"},
    errors.Conflict: {
        "invalid_state",
        "key_conflict",
        "upload_expired",
        "upload_in_use",
        "offset_mismatch",
        "precondition_failed",
        "idempotency_in_flight",
    },
    errors.Unavailable: {"read_only", "unavailable"},
    errors.StorageFull: {"storage_full"},
    errors.Corrupt: {"internal", "blob_missing", "backup_unreadable"},
    errors.UnsupportedOperation: {"unsupported_operation"},
    errors.Misconfigured: {"misconfigured"},
    errors.PluginError: {"internal"},
}


def classes() -> list[type[JustStorageError]]:
    """Every class of the tree that the module exports."""
    return [getattr(errors, name) for name in errors.__all__]


def test_the_export_list_is_the_module() -> None:
    """Every error class is exported, and nothing else."""
    defined = {
        name
        for name, item in vars(errors).items()
        if inspect.isclass(item) and item.__module__ == errors.__name__
    }
    assert set(errors.__all__) == defined


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_every_error_is_of_the_tree_and_has_a_code(kind: type[JustStorageError]) -> None:
    """The root catches it; its code is one of its family's; its docstring says when."""
    assert issubclass(kind, JustStorageError)
    assert kind.__doc__
    families = [family for family in FAMILIES if issubclass(kind, family)]
    if kind is JustStorageError:
        assert (kind.code, families) == ("internal", [])
        return
    assert len(families) == 1, "each error belongs to one family, which decides its status"
    assert kind.code in FAMILIES[families[0]]


def test_every_code_of_a_family_has_a_class() -> None:
    """No code is only on paper."""
    for family, codes in FAMILIES.items():
        assert {kind.code for kind in classes() if issubclass(kind, family)} == codes


def test_codes_tell_families_apart() -> None:
    """A code names one family; `internal` alone is shared, by what is our fault."""
    seen: dict[str, type[JustStorageError]] = {}
    for family, codes in FAMILIES.items():
        for code in codes - {"internal"}:
            assert seen.setdefault(code, family) is family


def test_what_may_be_tried_again() -> None:
    """Only what may pass by itself is retryable."""
    retryable = {kind for kind in classes() if kind.retryable}
    assert retryable == {
        errors.Unavailable,
        errors.ReadOnly,
        errors.RateLimited,
        errors.IdempotencyInFlight,
        errors.UploadInUse,
    }


def test_an_error_carries_its_facts() -> None:
    """The text is the detail; fields go beside it."""
    error = errors.KeyConflict("taken", object_id="1", content_hash=None)
    assert str(error) == error.detail == "taken"
    assert error.fields == {"object_id": "1", "content_hash": None}


@pytest.mark.parametrize("kind", [errors.PluginError, errors.BackendError])
def test_a_plugin_error_names_the_plugin(kind: type[PluginError]) -> None:
    """Who broke the contract is in attributes, not in what a client sees."""
    error = kind("failed", plugin="blobs.hot", distribution="acme-blobs")
    assert (error.plugin, error.distribution) == ("blobs.hot", "acme-blobs")
    assert str(error) == "failed"
    assert error.fields == {}
    assert kind("failed", plugin="x").distribution is None
