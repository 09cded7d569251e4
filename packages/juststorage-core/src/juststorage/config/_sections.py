"""The sections that core itself knows. Every field has its unit in its name and a description.

To add an option, add a field: the file, the environment, `config show`, the schema and the error
texts follow from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct, field

from juststorage.domain import (
    BULK_IDS_MAX,
    METADATA_BYTES_MAX,
    METADATA_DEPTH_MAX,
    OBJECT_BYTES_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
)

__all__ = [
    "TABLES",
    "Audit",
    "AuthSection",
    "Blobs",
    "ColdBlobsSection",
    "GCSection",
    "HasherSection",
    "HotBlobsSection",
    "Limits",
    "Log",
    "MetadataSection",
    "PluginsSection",
    "RateLimits",
    "Section",
    "Server",
    "TopLevel",
    "Uploads",
]

TABLES = "*"
"""The encoded name of `Section.tables`."""

Tables = dict[str, dict[str, Any]]
Retention = Annotated[float, Meta(ge=0, le=10 * 365 * 86_400)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section that selects plugins, and holds a table of options for each that it could select.

    `tables` is filled from the section's sub-tables; a table for a backend that is not selected is
    allowed, so that one file can serve several set-ups.
    """

    kind: ClassVar[str]
    """Of the backends that it selects from."""

    selector: ClassVar[str] = "backend"
    """The option that selects."""

    # No TOML key or variable is spelt like this, hence no option can collide with it.
    tables: Tables = field(default_factory=dict, name=TABLES)

    def __repr__(self) -> str:
        # What the tables hold may be secret; only the selected backend's options can tell.
        own = {name: getattr(self, name) for name in self.__struct_fields__ if name != "tables"}
        shown = [f"{name}={value!r}" for name, value in own.items()]
        return f"{type(self).__name__}({', '.join([*shown, f'tables={sorted(self.tables)}'])})"

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names that it selects, in order."""
        value: str | tuple[str, ...] | None = getattr(self, self.selector)
        if isinstance(value, tuple):
            return value
        return () if value is None else (value,)

    def table(self, name: str) -> dict[str, Any]:
        """The options table of this backend; empty when there is none."""
        return self.tables.get(name, {})


class PluginsSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which installed plugins may be imported. Decided before any import."""

    enabled: Annotated[
        tuple[str, ...] | None,
        Meta(description="Only these plugins, besides those of core; unset means all"),
    ] = None
    disabled: Annotated[tuple[str, ...], Meta(description="Never these plugins")] = ()


class MetadataSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where objects, blobs and API keys are recorded."""

    kind = "metadata_store"

    backend: Annotated[str | None, Meta(description="Name of the metadata store")] = None


class HotBlobsSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the bytes of the storage class `hot` live."""

    kind = "blob_store"

    backend: Annotated[str | None, Meta(description="Name of the blob store")] = None


class ColdBlobsSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the bytes of the storage class `cold` live; without a backend it is not offered."""

    kind = "blob_store"

    backend: Annotated[
        str | None, Meta(description="Name of the blob store; unset means no cold storage")
    ] = None


class Blobs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The blob stores, by storage class."""

    hot: HotBlobsSection = HotBlobsSection()
    cold: ColdBlobsSection = ColdBlobsSection()


class HasherSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How new content is named; what other hashers named stays readable while they are known."""

    kind = "hasher"

    backend: Annotated[str, Meta(description="Name of the hasher for new content")] = "sha256"


class AuthSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who recognizes callers, in this order."""

    kind = "authenticator"
    selector = "chain"

    chain: Annotated[
        tuple[str, ...], Meta(description="Names of the authenticators, asked in this order")
    ] = ("api_key",)


class GCSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How garbage is collected."""

    kind = "gc_policy"
    selector = "policy"

    policy: Annotated[str, Meta(description="Name of the policy that chooses among garbage")] = (
        "age"
    )
    enabled: Annotated[
        bool, Meta(description="Collect in the background of `juststorage serve`")
    ] = True
    interval_s: Annotated[
        float, Meta(ge=0, le=86_400, description="Time from the end of a run to the next one")
    ] = 60.0
    jitter_ratio: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of the interval by which it varies, both ways, so that processes"
            " that started together drift apart; 0 for none",
        ),
    ] = 0.1
    grace_s: Annotated[
        Retention, Meta(description="Time that bytes without references are kept; 0 is safe")
    ] = 3600.0
    claim_s: Annotated[
        float,
        Meta(ge=0, le=86_400, description="Time for which a claim keeps other collectors away"),
    ] = 300.0
    trash_retention_s: Annotated[
        Retention,
        Meta(
            description="Time that removed bytes can still be restored; at least as long as the"
            " database may be restored back to"
        ),
    ] = 86_400.0
    staging_grace_s: Annotated[
        Retention, Meta(description="Age from which what dead uploads staged is removed")
    ] = 3600.0
    tombstone_retention_s: Annotated[
        Retention, Meta(description="Time that the rows of deleted objects are kept")
    ] = 604_800.0
    batch_size: Annotated[
        int,
        Meta(ge=1, le=1000, description="Blobs removed under one lock; uploads of them wait"),
    ] = 64
    rate_max_blobs_s: Annotated[
        float, Meta(ge=0, le=1e6, description="Blobs removed per second; 0 for no limit")
    ] = 0.0
    run_blobs_max: Annotated[
        int, Meta(ge=1, le=10**9, description="Blobs removed by one run at most")
    ] = 100_000
    scan_blobs_max: Annotated[
        int,
        Meta(ge=0, le=10**9, description="Stored blobs that one run compares with their rows"),
    ] = 10_000


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP server."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65_535, description="Port to listen on; 0 lets the system choose")
    ] = 8080
    workers: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Server processes; 0 means one for each processor, but two at most",
        ),
    ] = 0
    drain_timeout_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="Time that open requests get when the server stops"),
    ] = 30.0


class Uploads(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on uploads."""

    max_bytes: Annotated[
        int, Meta(ge=1, le=OBJECT_BYTES_MAX, description="Largest content of one object")
    ] = OBJECT_BYTES_MAX
    small_bytes: Annotated[
        int,
        Meta(ge=0, le=2**20, description="Bodies up to this size are held in memory"),
    ] = 65_536
    lease_s: Annotated[
        float,
        Meta(ge=10, le=86_400, description="Time until an upload that is silent counts as dead"),
    ] = 600.0
    idle_timeout_s: Annotated[
        PositiveSeconds, Meta(description="Time that a body may stand still")
    ] = 30.0
    min_rate_bytes_s: Annotated[
        int,
        Meta(ge=0, le=2**30, description="Slowest average rate of a body; 0 allows any"),
    ] = 1024
    rate_grace_s: Annotated[
        PositiveSeconds, Meta(description="Time before the average rate counts")
    ] = 30.0
    idempotency_ttl_s: Annotated[
        Retention,
        Meta(description="Time that the answer to a request with an Idempotency-Key is kept"),
    ] = 86_400.0


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on requests; those on the bodies of objects are in `uploads`."""

    header_bytes: Annotated[
        int,
        Meta(
            ge=4096,
            le=262_144,
            description="Bytes of a request's target and header fields; more is 431",
        ),
    ] = 65_536
    metadata_bytes: Annotated[
        int,
        Meta(ge=2, le=METADATA_BYTES_MAX, description="Bytes of an object's metadata, as JSON"),
    ] = METADATA_BYTES_MAX
    json_bytes: Annotated[
        int, Meta(ge=1024, le=2**24, description="Bytes of a body that is JSON; more is 413")
    ] = 65_536
    json_depth: Annotated[
        int,
        Meta(
            ge=4,
            le=METADATA_DEPTH_MAX + 1,
            description="Levels of arrays and objects in a body that is JSON, and one less in"
            " metadata",
        ),
    ] = METADATA_DEPTH_MAX + 1
    page_size: Annotated[
        int, Meta(ge=PAGE_SIZE_DEFAULT, le=PAGE_SIZE_MAX, description="Largest `limit` of a page")
    ] = PAGE_SIZE_MAX
    bulk_ids: Annotated[
        int, Meta(ge=1, le=BULK_IDS_MAX, description="Ids in one call that deletes many objects")
    ] = BULK_IDS_MAX
    ranges: Annotated[
        int,
        Meta(ge=1, le=16, description="Ranges of one download, after merging; more is 416"),
    ] = 16
    uploads_in_flight: Annotated[
        int,
        Meta(
            ge=1,
            le=65_536,
            description="Uploads that one worker takes at once; another one is 503 until one ends",
        ),
    ] = 256
    request_timeout_s: Annotated[
        PositiveSeconds,
        Meta(
            description="Time that a request may take, besides that of its bodies and of moving"
            " bytes; then it is 503"
        ),
    ] = 30.0


class RateLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one credential, and one tenant, may ask for; 0 for no limit."""

    window_s: Annotated[
        int, Meta(ge=1, le=86_400, description="Time after which all is counted anew")
    ] = 60
    requests_per_key: Annotated[
        int, Meta(ge=0, le=2**40, description="Requests of one credential in a window")
    ] = 0
    requests_per_tenant: Annotated[
        int, Meta(ge=0, le=2**40, description="Requests for one tenant in a window")
    ] = 0
    bytes_per_key: Annotated[
        int,
        Meta(
            ge=0,
            le=2**60,
            description="Bytes of bodies, in and out, of one credential in a window; what has"
            " begun is never cut off",
        ),
    ] = 0
    bytes_per_tenant: Annotated[
        int, Meta(ge=0, le=2**60, description="Bytes of bodies, in and out, of one tenant")
    ] = 0
    shared: Annotated[
        bool,
        Meta(
            description="Count over all workers and machines, through the metadata store; else each"
            " worker process has the limits for itself"
        ),
    ] = False
    sync_s: Annotated[
        float,
        Meta(
            ge=0.05,
            le=60,
            description="How often shared counts are exchanged: what is let through meanwhile may"
            " exceed a limit",
        ),
    ] = 0.5


class Audit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who changed what, and who was refused."""

    log: Annotated[
        bool,
        Meta(description="Write events to the logger juststorage.audit, whatever log.level is"),
    ] = True
    table: Annotated[
        bool,
        Meta(
            description="Record changes in the metadata store as well, each in its own transaction;"
            " on PostgreSQL writes are then no longer gathered, and cost more"
        ),
    ] = False


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The log, written to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level that is shown")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "text"],
        Meta(description="json is one object a line; auto is text on a terminal, else json"),
    ] = "auto"


class TopLevel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration, by section."""

    data_dir: Annotated[
        Path, Meta(description="The service's own directory; defaults of paths lie in it")
    ] = Path("juststorage-data")
    allow_ephemeral: Annotated[
        bool, Meta(description="Let `serve` run on backends that forget everything when it ends")
    ] = False
    plugins: PluginsSection = PluginsSection()
    metadata: MetadataSection = MetadataSection()
    blobs: Blobs = Blobs()
    hasher: HasherSection = HasherSection()
    auth: AuthSection = AuthSection()
    gc: GCSection = GCSection()
    server: Server = Server()
    uploads: Uploads = Uploads()
    limits: Limits = Limits()
    rate_limits: RateLimits = RateLimits()
    audit: Audit = Audit()
    log: Log = Log()
