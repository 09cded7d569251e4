"""The sections that core itself knows. Every field has its unit in its name and a description.

To add an option, add a field: the file, the environment, `config show`, the schema and the error
texts follow from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct, field

from juststorage.config._durations import Retention
from juststorage.config._operating import Metrics, Tracing
from juststorage.config._serving import Audit, Downloads, Limits, Log, RateLimits, Server, Uploads

__all__ = [
    "TABLES",
    "AuthSection",
    "Backup",
    "BackupContentsSection",
    "BackupManifestsSection",
    "Blobs",
    "ColdBlobsSection",
    "GCSection",
    "HasherSection",
    "HotBlobsSection",
    "MetadataSection",
    "PluginsSection",
    "Section",
    "TopLevel",
]

TABLES = "*"
"""The encoded name of `Section.tables`."""

Tables = dict[str, dict[str, Any]]


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


class BackupContentsSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where backups keep the bytes of blobs; none of the service's own stores."""

    kind = "blob_store"

    backend: Annotated[
        str | None, Meta(description="Name of the blob store; unset means directories only")
    ] = None


class BackupManifestsSection(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where backups keep their manifests: a store of its own, that holds nothing else."""

    kind = "blob_store"

    backend: Annotated[
        str | None, Meta(description="Name of the blob store; unset means directories only")
    ] = None


class Backup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The blob stores that `juststorage backup` uses where it is not given a directory."""

    contents: BackupContentsSection = BackupContentsSection()
    manifests: BackupManifestsSection = BackupManifestsSection()


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
        Meta(
            ge=0,
            le=10**9,
            description="Stored blobs that one run compares with their rows, in pages of 1000",
        ),
    ] = 10_000
    adopt_blobs_max: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Stored blobs without a row that are few, so that the collector adopts"
            " them; of more, it adopts none where they are over a tenth of what it looked at",
        ),
    ] = 100
    metrics_host: Annotated[
        str,
        Meta(min_length=1, description="Address at which `juststorage gc worker` tells metrics"),
    ] = "127.0.0.1"
    metrics_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65_535,
            description="Port at which `juststorage gc worker` answers /metrics and /health,"
            " to everyone who reaches it; 0 for none",
        ),
    ] = 0


DATA_DIR: Final = Path("juststorage-data")
"""Where nothing names one: below the present directory."""


class TopLevel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration, by section."""

    data_dir: Annotated[
        Path, Meta(description="The service's own directory; defaults of paths lie in it")
    ] = DATA_DIR
    allow_ephemeral: Annotated[
        bool, Meta(description="Let `serve` run on backends that forget everything when it ends")
    ] = False
    plugins: PluginsSection = PluginsSection()
    metadata: MetadataSection = MetadataSection()
    blobs: Blobs = Blobs()
    backup: Backup = Backup()
    hasher: HasherSection = HasherSection()
    auth: AuthSection = AuthSection()
    gc: GCSection = GCSection()
    server: Server = Server()
    uploads: Uploads = Uploads()
    downloads: Downloads = Downloads()
    limits: Limits = Limits()
    rate_limits: RateLimits = RateLimits()
    audit: Audit = Audit()
    metrics: Metrics = Metrics()
    tracing: Tracing = Tracing()
    log: Log = Log()
