"""The sections of the service: what it listens on, what it allows, what it writes down."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from juststorage.config._durations import PositiveSeconds, Retention
from juststorage.domain import (
    BULK_IDS_MAX,
    METADATA_BYTES_MAX,
    METADATA_DEPTH_MAX,
    OBJECT_BYTES_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
)

__all__ = ["Audit", "Downloads", "Limits", "Log", "RateLimits", "Server", "Uploads"]


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
    read_only: Annotated[
        bool,
        Meta(
            description="Start refusing changes of objects, whether read-only mode is switched on"
            " or not; the next POST /v1/admin/read-only, to any instance, takes its place"
        ),
    ] = False
    drain_delay_s: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="Time from SIGTERM on in which the server is not ready, still answers, and"
            " asks every client to close its connection; Ctrl-C skips it",
        ),
    ] = 1.0
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
    resumable_for_s: Annotated[
        float,
        Meta(
            ge=60,
            le=30 * 86_400,
            description="Time that a resumable upload may rest between two requests, and that it is"
            " told how it ended; until bytes of it are kept it has `lease_s`",
        ),
    ] = 86_400.0
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
    equal_time: Annotated[
        bool,
        Meta(
            description="Answer a body whose bytes are stored already no sooner than a new one, so"
            " that the duration of an upload tells no tenant what another one has"
        ),
    ] = False


class Downloads(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How downloads are answered."""

    cache_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=2**40,
            description="Memory of each worker for small contents that were read lately, by their"
            " hash; 0 for none",
        ),
    ] = 64 * 2**20
    verified_for_s: Annotated[
        float,
        Meta(
            ge=0,
            le=30 * 86_400,
            description="Seconds for which a content over 64 KiB that was hashed while it was sent"
            " is sent again without that, as long as its file did not change and stayed in memory;"
            " 0 to hash each time",
        ),
    ] = 3600


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
    header_timeout_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=600,
            description="Time for the head of a request to arrive; then the connection is cut",
        ),
    ] = 15.0
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
    access_ratio: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of the requests that went well whose line is written; those that"
            " failed always have one",
        ),
    ] = 1.0
