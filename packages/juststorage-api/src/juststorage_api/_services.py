"""The use cases of a runtime, built once. The only place where this package composes core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from juststorage.config import Uploads
from juststorage.runtime import Runtime
from juststorage.usecases import (
    CursorCodec,
    DeleteObject,
    DownloadObject,
    FindObject,
    ListObjects,
    UploadLimits,
    UploadObject,
)
from juststorage_api._authentication import Authentication

__all__ = ["Services"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the handlers call."""

    runtime: Runtime
    uploads: Uploads
    authentication: Authentication
    upload: UploadObject
    download: DownloadObject
    find: FindObject
    delete: DeleteObject
    list: ListObjects

    @classmethod
    async def of(cls, runtime: Runtime) -> Self:
        """Compose the use cases.

        Raises:
            Unavailable: The metadata store does not answer.
        """
        uploads = runtime.config.uploads
        return cls(
            runtime=runtime,
            uploads=uploads,
            authentication=Authentication(runtime.authenticators, runtime.config.auth.chain),
            upload=UploadObject(
                runtime.metadata,
                runtime.blobs,
                runtime.hashers,
                algorithm=runtime.hasher.algorithm,
                clock=runtime.clock,
                limits=UploadLimits(
                    bytes_max=uploads.max_bytes,
                    lease_s=uploads.lease_s,
                    idle_s=uploads.idle_timeout_s,
                    rate_min_bytes_s=uploads.min_rate_bytes_s,
                ),
            ),
            download=DownloadObject(runtime.metadata, runtime.blobs, runtime.hashers),
            find=FindObject(runtime.metadata),
            delete=DeleteObject(runtime.metadata),
            list=ListObjects(
                runtime.metadata, CursorCodec(await runtime.metadata.secret("cursor"))
            ),
        )
