"""The options of the `objectstore` blob store: one set for all providers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from juststorage.plugins import Secret

__all__ = ["MIB", "ObjectStoreOptions"]

MIB = 1024 * 1024

_Seconds = Annotated[float, Meta(gt=0, le=3600)]


class ObjectStoreOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the bucket is, how to get in, and how long to wait for it.

    Credentials that are not given are looked for where the provider's own tools do: environment
    variables, a role of the machine or of the pod.
    """

    url: Annotated[
        str,
        Meta(
            description="s3://bucket/prefix, gs://bucket/prefix or az://account/container/prefix."
            " Everything below the prefix belongs to this deployment alone."
        ),
    ]
    endpoint: Annotated[
        str | None,
        Meta(
            description="URL of the service, for S3-compatible stores other than Amazon's, and for"
            " Azure in other clouds. An http:// one is not encrypted."
        ),
    ] = None
    region: Annotated[str | None, Meta(description="Region of the bucket (s3)")] = None
    access_key_id: Annotated[Secret | None, Meta(description="Access key (s3)")] = None
    secret_access_key: Annotated[
        Secret | None, Meta(description="Secret of the access key (s3)")
    ] = None
    session_token: Annotated[
        Secret | None, Meta(description="Token of temporary credentials (s3)")
    ] = None
    service_account_key: Annotated[
        Secret | None, Meta(description="JSON key of a service account (gs)")
    ] = None
    account_key: Annotated[
        Secret | None, Meta(description="Access key of the storage account (az)")
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(description="PEM file of certificates to trust besides those of the system"),
    ] = None
    settings: Annotated[
        dict[str, str],
        Meta(
            description="Further settings of the provider, by the names that obstore gives them:"
            " virtual_hosted_style_request, server_side_encryption, disable_bulk_delete, ..."
        ),
    ] = {}
    part_bytes: Annotated[
        int,
        Meta(
            ge=5 * MIB,
            le=512 * MIB,
            description="Larger uploads go in parts of this size, 10,000 of them at most. Memory of"
            " one upload: this times (`parts_at_once` + 1).",
        ),
    ] = 8 * MIB
    parts_at_once: Annotated[
        int, Meta(ge=1, le=16, description="Parts of one upload under way at once")
    ] = 2
    connect_timeout_s: Annotated[_Seconds, Meta(description="Seconds to connect, per attempt")] = (
        5.0
    )
    timeout_s: Annotated[
        _Seconds,
        Meta(
            description="Seconds until the answer to one request must begin, and between two pieces"
            " of it. A part must be sent within this."
        ),
    ] = 30.0
    retries: Annotated[
        int, Meta(ge=0, le=20, description="Further attempts at a request that failed")
    ] = 4
    deadline_s: Annotated[
        _Seconds,
        Meta(
            description="Seconds for one call with all its attempts. Keep it below the database's"
            " limit for idle transactions: a collector removes blobs inside one."
        ),
    ] = 60.0
