"""The use cases of an open service: the one place that puts them together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

from juststorage.config import GCSection, Uploads
from juststorage.runtime._monitor import collected, damage_found, damaged
from juststorage.runtime._runtime import Runtime
from juststorage.runtime._tracing import around_collections, note_collection
from juststorage.usecases import (
    AuditLimits,
    AuditStore,
    BlobCopier,
    ChangeObject,
    CollectGarbage,
    CollectionLimits,
    CollectionReport,
    CopyObject,
    CursorCodec,
    DeleteObject,
    DownloadObject,
    FindObject,
    ListObjects,
    ManageApiKeys,
    MeasureUsage,
    ResumeUpload,
    TicketCodec,
    UploadLimits,
    UploadObject,
    VerifiedContents,
)

__all__ = ["UseCases", "make_auditor", "make_collector", "make_key_manager"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """What a delivery layer, or an application's test, calls."""

    upload: UploadObject
    resume: ResumeUpload
    download: DownloadObject
    find: FindObject
    change: ChangeObject
    copy: CopyObject
    delete: DeleteObject
    list: ListObjects
    usage: MeasureUsage
    keys: ManageApiKeys
    collect: CollectGarbage

    @classmethod
    async def of(cls, runtime: Runtime) -> Self:
        """Put them together.

        Raises:
            Unavailable: The metadata store does not answer.
        """
        metadata, blobs, hashers = runtime.metadata, runtime.blobs, runtime.hashers
        download = _make_download(runtime)
        copier = BlobCopier(
            metadata,
            blobs,
            hashers,
            clock=runtime.clock,
            limits=_upload_limits(runtime.config.uploads),
            download=download,
        )
        return cls(
            upload=UploadObject(
                metadata,
                blobs,
                hashers,
                algorithm=runtime.hasher.algorithm,
                clock=runtime.clock,
                limits=_upload_limits(runtime.config.uploads),
                equal_time=runtime.config.uploads.equal_time,
            ),
            resume=ResumeUpload(
                metadata,
                blobs,
                hashers,
                algorithm=runtime.hasher.algorithm,
                clock=runtime.clock,
                limits=_upload_limits(runtime.config.uploads),
                resumable_for_s=runtime.config.uploads.resumable_for_s,
                codec=TicketCodec(await metadata.secret("cursor")),
                equal_time=runtime.config.uploads.equal_time,
            ),
            download=download,
            find=FindObject(metadata),
            change=ChangeObject(
                metadata, copier, metadata_bytes_max=runtime.config.limits.metadata_bytes
            ),
            copy=CopyObject(metadata, copier),
            delete=DeleteObject(metadata),
            list=ListObjects(metadata, CursorCodec(await metadata.secret("cursor"))),
            usage=MeasureUsage(metadata),
            keys=await make_key_manager(runtime),
            collect=make_collector(runtime),
        )


def _make_download(runtime: Runtime) -> DownloadObject:
    sheet, options = runtime.sheet, runtime.config.downloads
    return DownloadObject(
        runtime.metadata,
        runtime.blobs,
        runtime.hashers,
        cache_bytes=options.cache_bytes,
        verified=VerifiedContents(
            runtime.clock.monotonic,
            for_s=options.verified_for_s,
            damage_found=partial(damage_found, sheet),
        ),
        on_damage=partial(damaged, sheet),
    )


async def make_key_manager(runtime: Runtime) -> ManageApiKeys:
    """Who may create, see and change API keys.

    Raises:
        Unavailable: The metadata store does not answer.
    """
    secret = await runtime.metadata.secret("cursor")
    return ManageApiKeys(runtime.metadata, clock=runtime.clock, secret=secret)


def make_collector(runtime: Runtime) -> CollectGarbage:
    """The collector, as the section `[gc]` has it."""

    def reported(report: CollectionReport) -> None:
        collected(runtime.sheet, report)
        note_collection(runtime.tracer, report)

    return CollectGarbage(
        runtime.metadata,
        runtime.blobs,
        runtime.gc_policy,
        clock=runtime.clock,
        limits=_collection_limits(runtime.config.gc),
        on_report=reported,
        around=around_collections(runtime.tracer),
        is_paused=lambda: runtime.read_only,
    )


def make_auditor(
    runtime: Runtime, *, deep: bool = False, deep_bytes_s: int = 0, repair: bool = False
) -> AuditStore:
    """The auditor; what the collector would still get to is no finding yet."""
    gc = runtime.config.gc
    return AuditStore(
        runtime.metadata,
        runtime.blobs,
        runtime.hashers,
        clock=runtime.clock,
        limits=AuditLimits(
            deep=deep,
            deep_bytes_s=deep_bytes_s,
            repair=repair,
            staging_grace_s=gc.staging_grace_s + 2 * gc.interval_s,
            lease_grace_s=2 * gc.interval_s,
            adopt_blobs_max=gc.adopt_blobs_max,
        ),
    )


def _upload_limits(uploads: Uploads) -> UploadLimits:
    return UploadLimits(
        bytes_max=uploads.max_bytes,
        lease_s=uploads.lease_s,
        idle_s=uploads.idle_timeout_s,
        rate_min_bytes_s=uploads.min_rate_bytes_s,
        rate_grace_s=uploads.rate_grace_s,
    )


def _collection_limits(gc: GCSection) -> CollectionLimits:
    return CollectionLimits(
        grace_s=gc.grace_s,
        claim_s=gc.claim_s,
        trash_retention_s=gc.trash_retention_s,
        staging_grace_s=gc.staging_grace_s,
        tombstone_retention_s=gc.tombstone_retention_s,
        batch_size=gc.batch_size,
        rate_max_blobs_s=gc.rate_max_blobs_s,
        run_blobs_max=gc.run_blobs_max,
        scan_blobs_max=gc.scan_blobs_max,
        adopt_blobs_max=gc.adopt_blobs_max,
    )
