"""Every error that JustStorage raises, as one tree with stable codes.

A caller needs two facts about a failure: what to tell its user, and whether to try again. The
first is `code`, a string that never changes once released; the second is `retryable`. The class
says which family the failure belongs to, and a delivery layer (HTTP, command line) maps families,
not classes, so that a plugin may add subclasses of its own.

`str(error)` is safe to show to a client: it never carries a driver's text, a path or a query. What
an operator needs beyond it is in `__cause__`, which goes to the log.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BackendError",
    "BackupUnreadable",
    "BlobMissing",
    "Conflict",
    "Corrupt",
    "Denied",
    "DigestMismatch",
    "IdempotencyInFlight",
    "IdempotencyMismatch",
    "Invalid",
    "InvalidCursor",
    "InvalidMetadata",
    "InvalidName",
    "InvalidState",
    "InvalidTransition",
    "JustStorageError",
    "KeyConflict",
    "Misconfigured",
    "NotFound",
    "OffsetMismatch",
    "PluginError",
    "PreconditionFailed",
    "RateLimited",
    "ReadOnly",
    "ScopeMissing",
    "StorageFull",
    "TenantForbidden",
    "TooLarge",
    "TooSlow",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedOperation",
    "UploadExpired",
    "UploadInUse",
]


class JustStorageError(Exception):
    """The root. Catch it to catch every failure that JustStorage itself reports.

    Args:
        detail: One sentence for the person who made the call.
        fields: Facts of this case, as JSON values; a problem document carries them as members.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, **fields: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields: dict[str, Any] = fields


# -- the caller's mistake ---------------------------------------------------------------------


class Invalid(JustStorageError):
    """The input breaks a documented rule; the same call will fail again."""

    code = "invalid_request"


class InvalidName(Invalid):
    """A namespace, tenant id or key breaks its syntax or length."""

    code = "invalid_name"


class InvalidMetadata(Invalid):
    """Object metadata is not a JSON object within the documented limits."""

    code = "invalid_metadata"


class InvalidCursor(Invalid):
    """A page cursor is malformed, forged, or belongs to another query or tenant."""

    code = "invalid_cursor"


class DigestMismatch(Invalid):
    """The bytes received do not have the digest that the client announced."""

    code = "digest_mismatch"


class TooLarge(Invalid):
    """The body is over the byte limit."""

    code = "body_too_large"


class TooSlow(Invalid):
    """The body arrived slower than the minimum rate, or stood still for too long."""

    code = "upload_too_slow"


class IdempotencyMismatch(Invalid):
    """The idempotency key was used for a request that differs from this one."""

    code = "idempotency_mismatch"


# -- who is calling ---------------------------------------------------------------------------


class Denied(JustStorageError):
    """The caller may not do this."""

    code = "denied"


class Unauthenticated(Denied):
    """No credential, or one that no authenticator accepts."""

    code = "unauthenticated"


class TenantForbidden(Denied):
    """The principal does not hold the tenant that the call names."""

    code = "tenant_forbidden"


class ScopeMissing(Denied):
    """The principal lacks the scope that the call needs."""

    code = "scope_missing"


class RateLimited(Denied):
    """The caller spent its allowance; `fields["retry_after_s"]` says when to return."""

    code = "rate_limited"
    retryable = True


# -- the state of things ----------------------------------------------------------------------


class NotFound(JustStorageError):
    """There is no such thing, or the caller may not know that there is."""

    code = "not_found"


class Conflict(JustStorageError):
    """The call is well formed but meets a state that forbids it."""

    code = "invalid_state"


class InvalidState(Conflict):
    """The entity's state forbids the operation."""


class InvalidTransition(InvalidState):
    """An entity was asked for a state change that its state machine does not have."""


class KeyConflict(Conflict):
    """A live object holds the key.

    `fields` has `object_id` and `content_hash` of the holder; the hash is None while it is WRITING.
    """

    code = "key_conflict"


class IdempotencyInFlight(Conflict):
    """The first request with this idempotency key is still under way.

    `fields["retry_after_s"]` says when to ask again.
    """

    code = "idempotency_in_flight"
    retryable = True


class UploadExpired(Conflict):
    """The upload lost its lease or its claim on the key; nothing of it remains visible."""

    code = "upload_expired"


class UploadInUse(Conflict):
    """Another request is bringing bytes to this resumable upload.

    `fields["retry_after_s"]` says when to ask again.
    """

    code = "upload_in_use"
    retryable = True


class OffsetMismatch(Conflict):
    """The bytes are not those that a resumable upload waits for; none of them was taken.

    `fields["offset"]` is where it goes on.
    """

    code = "offset_mismatch"


class PreconditionFailed(Conflict):
    """`If-Match` or `If-None-Match` does not hold in the committing transaction."""

    code = "precondition_failed"


# -- our side ---------------------------------------------------------------------------------


class Unavailable(JustStorageError):
    """A backend cannot answer now; the same call may succeed soon."""

    code = "unavailable"
    retryable = True


class ReadOnly(Unavailable):
    """Whoever runs the service has it refuse changes for now."""

    code = "read_only"


class StorageFull(JustStorageError):
    """There is not enough free space for these bytes."""

    code = "storage_full"


class Corrupt(JustStorageError):
    """What is stored contradicts what was recorded about it."""

    code = "internal"


class BlobMissing(Corrupt):
    """A committed object's bytes are at neither their final place nor in the trash."""

    code = "blob_missing"


class BackupUnreadable(Corrupt):
    """Which backup is meant cannot be told, because a manifest beside it cannot be read."""

    code = "backup_unreadable"


class UnsupportedOperation(JustStorageError):
    """The backend does not declare the capability that this operation needs."""

    code = "unsupported_operation"


class Misconfigured(JustStorageError):
    """A setting, its environment or an installation is wrong; fix it and start again.

    Command lines print the sentence alone and exit with code 2.

    Args:
        detail: What is wrong.
        *others: What else is wrong, a sentence each: whoever starts a service wants to hear of all
            mistakes at once, not of one at each start.
    """

    code = "misconfigured"

    def __init__(self, detail: str, *others: str) -> None:
        super().__init__("; ".join((detail, *others)))
        self.problems = (detail, *others)


class PluginError(JustStorageError):
    """A plugin broke its contract: it raised something that is not in this tree.

    Args:
        plugin: The plugin's name, or the instance such as `blobs.hot`.
        distribution: The distribution that provides it, where known.
    """

    code = "internal"

    def __init__(self, detail: str, *, plugin: str, distribution: str | None = None) -> None:
        super().__init__(detail)
        self.plugin = plugin
        self.distribution = distribution


class BackendError(PluginError):
    """A backend failed in a way that it did not translate (a bug in it, or in its driver)."""
