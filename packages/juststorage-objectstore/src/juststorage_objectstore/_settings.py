"""From options to a client of the provider.

Everything that can be refused without a request is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from juststorage.errors import Misconfigured
from juststorage.plugins import Secret
from juststorage_objectstore._options import ObjectStoreOptions

__all__ = ["Place", "Store", "environment_credentials", "make_store", "parse_url", "trusted"]

Store = S3Store | GCSStore | AzureStore

_FORMS: Final = "s3://bucket/prefix, gs://bucket/prefix or az://account/container/prefix"
_PREFIX: Final = re.compile(r"[A-Za-z0-9!_.*'()=-]+(?:/[A-Za-z0-9!_.*'()=-]+)*")
_CREDENTIALS: Final = {
    "s3": ("access_key_id", "secret_access_key", "session_token"),
    "gs": ("service_account_key",),
    "az": ("account_key",),
}
_NO_SECRETS: Final = re.compile(r"key|secret|token|password|credential|sas", re.IGNORECASE)
_HARMLESS: Final = {"sse_kms_key_id", "sse_bucket_key_enabled", "web_identity_token_file"}
_WHOLE_ANSWER: Final = timedelta(days=1)
"""A large blob may be read slowly by someone far away; silence has a limit of its own."""


class Place(NamedTuple):
    """What a URL says."""

    scheme: str
    account: str
    bucket: str
    prefix: str


def parse_url(url: str) -> Place:
    """Take a URL apart.

    Raises:
        Misconfigured: It is none of ours.
    """
    parts = urlsplit(url)
    names = [parts.netloc, *parts.path.strip("/").split("/")]
    wrong = parts.query or parts.fragment or "@" in parts.netloc or ":" in parts.netloc
    account = names.pop(0) if parts.scheme == "az" else ""
    bucket = names.pop(0) if names else ""
    prefix = "/".join(names)
    if (
        parts.scheme not in _CREDENTIALS
        or wrong
        or not bucket
        or (parts.scheme == "az" and not account)
    ):
        raise Misconfigured(f"url must be {_FORMS}")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(names)):
        raise Misconfigured(
            "the prefix in the url may have letters, digits and !_.*'()=- between /"
        )
    return Place(parts.scheme, account, bucket, prefix)


def make_store(options: ObjectStoreOptions) -> Store:
    """The client. Nothing is sent yet.

    Raises:
        Misconfigured: With these options there can be none.
    """
    place = parse_url(options.url)
    # The client checks the names; its types list them, per provider.
    config: Any = {**_settings(options), **_secrets(options, place)}
    more: dict[str, Any] = {
        "prefix": place.prefix or None,
        "client_options": _client(options),
        "retry_config": {
            "max_retries": options.retries,
            "retry_timeout": timedelta(seconds=options.deadline_s),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
        },
    }
    try:
        if place.scheme == "s3":
            if options.endpoint:
                config["endpoint"] = options.endpoint
            config["region"] = options.region or "us-east-1"
            return S3Store(place.bucket, config=config, **more)
        if place.scheme == "gs":
            return GCSStore(place.bucket, config=config, **more)
        if options.endpoint:
            config["endpoint"] = options.endpoint
        config["account_name"] = place.account
        return AzureStore(place.bucket, config=config, **more)
    except (exceptions.BaseError, ValueError, OSError) as error:
        # The cause stays out: its text may hold a credential.
        kind = type(error).__name__
        raise Misconfigured(f"the provider's client takes none of this ({kind})") from None


def _secrets(options: ObjectStoreOptions, place: Place) -> dict[str, str]:
    found: dict[str, str] = {}
    for scheme, names in _CREDENTIALS.items():
        for name in names:
            secret: Secret | None = getattr(options, name)
            if secret is None:
                continue
            if scheme != place.scheme:
                raise Misconfigured(f"{name} is for {scheme}://, and the url is {place.scheme}://")
            found[name] = secret.reveal()
    if ("access_key_id" in found) != ("secret_access_key" in found):
        raise Misconfigured("access_key_id and secret_access_key belong together")
    if options.endpoint is not None and place.scheme == "gs":
        raise Misconfigured("endpoint is for s3:// and az://")
    if options.region is not None and place.scheme != "s3":
        raise Misconfigured("region is for s3://")
    return found


def _settings(options: ObjectStoreOptions) -> dict[str, Any]:
    for name in options.settings:
        if _NO_SECRETS.search(name) and name not in _HARMLESS:
            raise Misconfigured(
                f"settings.{name} looks like a credential; there are options for it"
            )
    return dict(options.settings)


def _client(options: ObjectStoreOptions) -> dict[str, Any]:
    client: dict[str, Any] = {
        "allow_http": (options.endpoint or "").startswith("http://"),
        "connect_timeout": timedelta(seconds=options.connect_timeout_s),
        "read_timeout": timedelta(seconds=options.timeout_s),
        "timeout": _WHOLE_ANSWER,
    }
    certificates = trusted(options)
    if certificates is not None:
        client["root_certificate"] = certificates
    return client


def trusted(options: ObjectStoreOptions) -> str | None:
    """The certificates of `ca_file`.

    Raises:
        Misconfigured: It cannot be read.
    """
    if options.ca_file is None:
        return None
    try:
        return Path(options.ca_file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Misconfigured(f"ca_file {options.ca_file} cannot be read: {reason}") from error


def environment_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Credentials for S3 that environment variables name, as the client finds them."""
    names = ("access_key_id", "secret_access_key", "session_token")
    found = {name: environment.get(f"AWS_{name.upper()}", "") for name in names}
    return {name: value for name, value in found.items() if value}
