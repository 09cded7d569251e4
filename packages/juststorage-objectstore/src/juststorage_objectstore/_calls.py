"""Spans of what the store is asked: of kind client, in OpenTelemetry's words for each provider.

One for each call, of which the client may make several requests: attempts, or the parts of a large
object. None for the pieces of a body. Names of objects are in none.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal
from urllib.parse import urlsplit

from juststorage.plugins import OpenContext
from juststorage_objectstore._options import ObjectStoreOptions
from juststorage_objectstore._settings import parse_url

__all__ = ["Call", "Calls"]

Call = Literal["put", "complete", "head", "get", "delete", "list", "list_uploads", "abort_upload"]

_SERVICES: Final = {"s3": "S3", "gs": "GCS", "az": "AzureBlob"}

_METHODS: Final[Mapping[str, Mapping[Call, str]]] = {
    "s3": {
        "put": "PutObject",
        "complete": "CompleteMultipartUpload",
        "head": "HeadObject",
        "get": "GetObject",
        "delete": "DeleteObjects",
        "list": "ListObjectsV2",
        "list_uploads": "ListMultipartUploads",
        "abort_upload": "AbortMultipartUpload",
    },
    "gs": {
        "put": "PutObject",
        "complete": "CompleteMultipartUpload",
        "head": "HeadObject",
        "get": "GetObject",
        "delete": "DeleteObject",
        "list": "ListObjects",
    },
    "az": {
        "put": "PutBlob",
        "complete": "PutBlockList",
        "head": "GetBlobProperties",
        "get": "GetBlob",
        "delete": "DeleteBlob",
        "list": "ListBlobs",
    },
}
"""By scheme: the provider's own name of a call."""

_HOSTS: Final = {
    "s3": "s3.{region}.amazonaws.com",
    "gs": "storage.googleapis.com",
    "az": "{account}.blob.core.windows.net",
}

_NOTHING: Final = nullcontext()


class Calls:
    """Makes a span for each call, where something is traced.

    Args:
        context: Whose tracer it is.
    """

    def __init__(self, options: ObjectStoreOptions, context: OpenContext) -> None:
        self._tracer = context.tracer
        place = parse_url(options.url)
        self._methods = _METHODS[place.scheme]
        self._service = _SERVICES[place.scheme]
        self._attributes: dict[str, str | int] = {"rpc.service": self._service}
        if place.scheme == "s3":
            self._attributes |= {"rpc.system": "aws-api", "aws.s3.bucket": place.bucket}
        elif place.scheme == "gs":
            self._attributes["gcp.client.service"] = "storage"
        else:
            self._attributes["azure.resource_provider.namespace"] = "Microsoft.Storage"
        default = _HOSTS[place.scheme].format(
            region=options.region or "us-east-1", account=place.account
        )
        server = urlsplit(options.endpoint or f"https://{default}")
        # A setting of the client's own may lead elsewhere: then nothing is claimed.
        if not any("endpoint" in name or "virtual" in name for name in options.settings):
            self._attributes["server.address"] = server.hostname or ""
            usual = 80 if server.scheme == "http" else 443
            self._attributes["server.port"] = server.port or usual

    def __call__(self, call: Call) -> AbstractContextManager[object]:
        """The span of the block; nothing where nothing is traced."""
        if self._tracer is None:
            return _NOTHING
        method = self._methods[call]
        return self._tracer.span(
            f"{self._service}/{method}",
            {**self._attributes, "rpc.method": method},
            kind="client",
        )

    def headers(self) -> dict[str, str]:
        """Fields with which the server can go on with the trace; for requests of our own making."""
        return {} if self._tracer is None else self._tracer.headers()
