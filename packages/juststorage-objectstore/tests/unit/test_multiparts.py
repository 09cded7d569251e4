"""Where incomplete uploads can be listed, and how their lists are read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from juststorage.errors import Unavailable
from juststorage.plugins import Secret
from juststorage_objectstore._multiparts import _parsed, find_multiparts
from juststorage_objectstore.plugin import ObjectStoreOptions

KEY: dict[str, Any] = {"access_key_id": Secret("id"), "secret_access_key": Secret("secret")}
VIRTUAL = {"virtual_hosted_style_request": "true"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes from whoever runs the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("options", "base"),
    [
        ({"url": "s3://b/p"}, "https://s3.us-east-1.amazonaws.com/b"),
        ({"url": "s3://b", "region": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com/b"),
        ({"url": "s3://b", "endpoint": "http://host:9000/"}, "http://host:9000/b"),
        ({"url": "s3://b", "endpoint": "https://host/base"}, "https://host/base/b"),
        (
            {"url": "s3://b", "endpoint": "https://b.host", "settings": VIRTUAL},
            "https://b.host",
        ),
        ({"url": "s3://b", "settings": VIRTUAL}, "https://s3.us-east-1.amazonaws.com/b"),
    ],
)
def test_the_bucket_is_found_where_the_client_finds_it(options: dict[str, Any], base: str) -> None:
    """By path, unless the endpoint is the bucket's own."""
    found = find_multiparts(ObjectStoreOptions(**options, **KEY))
    assert found is not None
    assert found._url.geturl() == base


@pytest.mark.parametrize("url", ["gs://b", "az://a/c", "s3://b"])
def test_without_a_key_nothing_is_listed(url: str) -> None:
    """Other providers, and roles: a lifecycle rule of the bucket does it there."""
    assert find_multiparts(ObjectStoreOptions(url=url)) is None


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_a_list_with_and_without_its_namespace(namespace: str) -> None:
    """Servers differ in it."""
    body = (
        f"<ListMultipartUploadsResult{namespace}><IsTruncated>true</IsTruncated>"
        "<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
        "<Upload><Key>k</Key><UploadId>u</UploadId>"
        "<Initiated>2026-11-25T13:34:05.000Z</Initiated></Upload></ListMultipartUploadsResult>"
    )
    at = datetime(2026, 11, 25, 13, 34, 5, tzinfo=UTC)
    assert _parsed(body.encode()) == ([("k", "u", at)], ("k", "u"))
    last = body.replace("true", "false").encode()
    assert _parsed(last) == ([("k", "u", at)], None)


@pytest.mark.parametrize(
    "body", [b"", b"no xml", b"<a>", b"<a><Upload><Initiated>never</Initiated></Upload></a>"]
)
def test_a_list_that_cannot_be_read(body: bytes) -> None:
    """Is no empty one."""
    with pytest.raises(Unavailable, match="cannot be read"):
        _parsed(body)
