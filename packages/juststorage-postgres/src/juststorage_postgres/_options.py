"""The options of the `postgres` metadata store."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from juststorage.plugins import Secret

__all__ = ["SCHEMES", "PostgresOptions", "SslMode"]

SCHEMES: Final = ("postgresql", "postgres")
"""What the URL of a database may begin with."""

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

_Seconds = Annotated[float, Meta(gt=0, le=3600)]


class PostgresOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the database is, and how much of it this process may use."""

    url: Annotated[
        Secret,
        Meta(
            description="postgresql://user:password@host:port/database; what it leaves out comes"
            " from libpq's environment variables (PGHOST, PGUSER, PGPASSWORD, ...)"
        ),
    ]
    pool_size: Annotated[
        int, Meta(ge=4, le=1000, description="Connections of this process, at most")
    ] = 10
    batch_max: Annotated[
        int, Meta(ge=1, le=1000, description="Requests answered by one gathered statement, at most")
    ] = 64
    read_batches_max: Annotated[
        int, Meta(ge=1, le=16, description="Gathered look-ups under way at once")
    ] = 2
    write_batches_max: Annotated[
        int, Meta(ge=1, le=16, description="Gathered changes of one kind under way at once")
    ] = 2
    connect_timeout_s: Annotated[
        _Seconds, Meta(description="Seconds for one attempt to connect")
    ] = 5.0
    connect_wait_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="Seconds to wait at start-up for a database that is away"),
    ] = 30.0
    statement_timeout_s: Annotated[
        _Seconds,
        Meta(description="Seconds after which a request that the database does not answer fails"),
    ] = 10.0
    lock_timeout_s: Annotated[
        _Seconds,
        Meta(description="Seconds that one attempt at a change waits for a row that another holds"),
    ] = 2.0
    idle_in_transaction_timeout_s: Annotated[
        _Seconds,
        Meta(
            description="Seconds after which the server ends a transaction that does nothing; a"
            " collector that moves one batch of files must be faster"
        ),
    ] = 60.0
    pgbouncer: Annotated[
        bool,
        Meta(
            description="The URL leads to PgBouncer in transaction mode: prepare no statements and"
            " set nothing on the connection; put its settings on the role (see the README)"
        ),
    ] = False
    sslmode: Annotated[
        SslMode | None, Meta(description="As libpq's sslmode; None leaves it to the URL")
    ] = None
    sslrootcert: Annotated[
        str | None, Meta(description="File of the certificates that the server's is checked by")
    ] = None
    allow_unsafe_settings: Annotated[
        bool,
        Meta(
            description="Start on a server with fsync, full_page_writes or synchronous_commit off:"
            " what it acknowledged may be gone after a crash"
        ),
    ] = False
