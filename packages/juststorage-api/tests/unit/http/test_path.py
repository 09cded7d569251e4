"""Paths of keys."""

from __future__ import annotations

import pytest

from juststorage.domain import ApiKeySecret
from juststorage.errors import InvalidName, NotFound
from juststorage_api._http.path import BY_KEY_PREFIX, by_key, logged, raw_path


@pytest.mark.parametrize(
    ("rest", "parts"),
    [
        (b"ns/t/k", ("ns", "t", "k")),
        (b"ns/t/a/b//c/", ("ns", "t", "a/b//c/")),
        (b"ns/t/a%2Fb", ("ns", "t", "a/b")),
        (b"ns/t/%2e%2e/..", ("ns", "t", "../..")),
        (b"ns/t//", ("ns", "t", "/")),
        (b"%6es/%74/k", ("ns", "t", "k")),
        (b"ns/t/%25", ("ns", "t", "%")),
        (b"ns/t/" + b"k" * 1024, ("ns", "t", "k" * 1024)),
    ],
)
def test_takes_a_path_apart(rest: bytes, parts: tuple[str, str, str]) -> None:
    """The key is everything behind the third slash."""
    assert by_key(BY_KEY_PREFIX + rest) == parts


@pytest.mark.parametrize("rest", [b"", b"ns", b"ns/", b"ns/t", b"ns%2Ft%2Fk", b"ns/t%2Fk"])
def test_too_short_a_path_is_no_route(rest: bytes) -> None:
    """An escaped slash separates nothing."""
    with pytest.raises(NotFound):
        by_key(BY_KEY_PREFIX + rest)


@pytest.mark.parametrize(
    "rest",
    [b"/t/k", b"ns//k", b"ns/t/", b"-/t/k", b"ns/-/k", b"ns/t/%00", b"ns/t/%FF", b"ns/t/%",
     b"%FF/t/k", b"ns/%/k", b"ns/t/" + b"k" * 1025],
)  # fmt: skip
def test_bad_names_are_refused(rest: bytes) -> None:
    """Each part by its own rules."""
    with pytest.raises(InvalidName):
        by_key(BY_KEY_PREFIX + rest)


def test_a_server_without_raw_paths() -> None:
    """The decoded path is encoded again; what was lost in it stays lost."""
    assert raw_path("/a b/ä%", None) == b"/a%20b/%C3%A4%25"
    assert raw_path("/ignored", b"/sent") == b"/sent"


def test_a_key_in_a_path_is_not_logged() -> None:
    """Who puts an API key where a name belongs does not find it in the logs; names stay."""
    secret = ApiKeySecret.new().text
    assert logged(f"/v1/objects/by-key/n/t/{secret}".encode()) == "/v1/objects/by-key/n/t/js_***"
    assert secret not in logged(f"/v1/{secret}/x-{secret}".encode())
    for path in ("/v1/objects/by-key/n/t/js_app", "/v1/objects", "/v1/%C3%A9"):
        assert logged(path.encode()) == path
    assert logged(b"/\xff") == "/�"
