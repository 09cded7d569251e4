"""Options that contradict themselves, and what becomes of those that do not."""

from __future__ import annotations

from typing import Any

import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from juststorage.errors import Misconfigured
from juststorage.plugins import Secret
from juststorage_objectstore._settings import environment_credentials, make_store, parse_url
from juststorage_objectstore.plugin import ObjectStoreOptions

KEY = {"access_key_id": Secret("id"), "secret_access_key": Secret("hunter2")}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket",
        "s3://",
        "s3:///prefix",
        "file:///tmp/x",
        "memory://",
        "https://bucket.example",
        "s3://user:pass@bucket",
        "s3://bucket:80/x",
        "s3://bucket/x?y=z",
        "s3://bucket/x#y",
        "s3://bucket/a/../b",
        "s3://bucket/a//b",
        "s3://bucket/a b",
        "s3://bucket/\N{LATIN SMALL LETTER E WITH ACUTE}",
        "az://",
        "az://account",
        "az:///container",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    """What is no place for blobs is said to be none, whatever client would take it."""
    with pytest.raises(Misconfigured, match="url"):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bucket", ("s3", "", "bucket", "")),
        ("s3://bucket/", ("s3", "", "bucket", "")),
        ("s3://my.bucket/a/b-c_d/", ("s3", "", "my.bucket", "a/b-c_d")),
        ("gs://bucket/prefix", ("gs", "", "bucket", "prefix")),
        ("az://account/container", ("az", "account", "container", "")),
        ("az://account/container/a/b", ("az", "account", "container", "a/b")),
    ],
)
def test_urls_that_are_taken(url: str, place: tuple[str, ...]) -> None:
    """Scheme, account, bucket and prefix."""
    assert tuple(parse_url(url)) == place


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "s3://b", "account_key": Secret("hunter2")}, "account_key is for az://"),
        ({"url": "gs://b", **KEY}, "access_key_id is for s3://"),
        ({"url": "s3://b", "access_key_id": Secret("x")}, "belong together"),
        ({"url": "gs://b", "endpoint": "http://x"}, "endpoint is for"),
        ({"url": "gs://b", "region": "eu"}, "region is for"),
        (
            {"url": "s3://b", "settings": {"secret_access_key": "hunter2"}},
            "looks like a credential",
        ),
        ({"url": "az://a/b", "settings": {"sas_key": "hunter2"}}, "looks like a credential"),
        ({"url": "s3://b", "settings": {"no_such_setting": "hunter2"}}, "takes none of this"),
        ({"url": "gs://b", "service_account_key": Secret("hunter2")}, "takes none of this"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], words: str) -> None:
    """Before any request, and without a word of a secret, in the message or behind it."""
    with pytest.raises(Misconfigured, match=words) as caught:
        make_store(ObjectStoreOptions(**options))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_each_provider_has_its_client() -> None:
    """The URL chooses."""
    s3 = make_store(ObjectStoreOptions(url="s3://b/p", region="eu-central-1", **KEY))
    assert isinstance(s3, S3Store)
    assert s3.config["region"] == "eu-central-1"
    assert s3.prefix == "p"
    account_key = Secret("aHVudGVyMg==")
    azure = make_store(ObjectStoreOptions(url="az://a/c", account_key=account_key))
    assert isinstance(azure, AzureStore)
    gcs = make_store(ObjectStoreOptions(url="gs://b", settings={"skip_signature": "true"}))
    assert isinstance(gcs, GCSStore)


def test_settings_reach_the_client() -> None:
    """By the names that the client gives them."""
    settings = {"virtual_hosted_style_request": "true", "server_side_encryption": "AES256"}
    store = make_store(ObjectStoreOptions(url="s3://b", settings=settings, **KEY))
    assert store.config["virtual_hosted_style_request"] in {"true", True}


def test_credentials_in_environment_variables() -> None:
    """Those of the provider's own tools; empty ones are none."""
    found = environment_credentials(
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": ""}
    )
    assert found == {"access_key_id": "a", "secret_access_key": "b"}
