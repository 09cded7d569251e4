"""How lists and look-ups of the PostgreSQL metadata store grow with the number of objects.

    python -m benchmarks.postgres_growth [--small 10000] [--large 1000000] [--seconds 3]

Each call is measured in a database of few objects and in one of many, on one server of its own with
fsync on, turn and turn about, so that a machine that drifts drifts for both. The ratio of the
medians is the figure. Filling the large one takes a minute or two.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from statistics import median

import asyncpg  # type: ignore[import-untyped]
from msgspec.structs import replace

from juststorage.domain import Namespace, ObjectId, ObjectKey, Position, Query, SortBy, TenantId
from juststorage.plugins import Secret
from juststorage.ports import MetadataStore
from juststorage.testing import open_backend
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES
from juststorage_postgres.testing import PostgresServer, made_database, migrate, own_server

TENANT, NAMESPACE = TenantId("bench"), Namespace("objects")
PAGE = 100
ROUNDS = 6

FILL = (
    """
    INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, locator, stored_at,
        first_seen_at)
    SELECT 'sha256:' || md5(n::text) || md5(n::text), 'hot', n, 1, 'hot/' || n, now(), now()
    FROM generate_series(1, {objects}) AS n
    """,
    """
    INSERT INTO objects (id, namespace, tenant_id, key, status, storage_class, content_hash,
        size_bytes, content_type, metadata, created_at, updated_at, blob_hash, claims_key,
        lease_epoch)
    SELECT gen_random_uuid(), 'objects', 'bench', 'k/' || lpad(size_bytes::text, 8, '0'),
        'COMMITTED', 'hot', content_hash, size_bytes, 'text/plain', '{{}}',
        now() - size_bytes * interval '1 s', now(), content_hash, false, 1
    FROM blobs
    """,
    "VACUUM ANALYZE",
)

NEWEST = Query(tenant_id=TENANT, limit=PAGE)
BY_KEY = Query(
    tenant_id=TENANT,
    namespaces=frozenset([NAMESPACE]),
    sort_by=SortBy.KEY,
    descending=False,
    limit=PAGE,
)

Call = Callable[[], Awaitable[object]]


async def _fill(url: str, objects: int) -> None:
    connection = await asyncpg.connect(url)
    for statement in FILL:
        await connection.execute(statement.format(objects=objects))
    await connection.close()


async def _calls(store: MetadataStore, url: str, objects: int) -> dict[str, Call]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT id::text, key FROM objects ORDER BY random() LIMIT 1000")
    pages = {"1": NEWEST, "1, by key": BY_KEY}
    # The page that begins behind this many objects: the last full one of the small database.
    deep = min(objects, 100_000) // PAGE
    column = {"created_at": NEWEST, "key": BY_KEY}
    for name, query in column.items():
        order = "DESC" if query.descending else "ASC"
        edge = await connection.fetchrow(
            f"SELECT {name}, id::text FROM objects"
            f" ORDER BY {name} {order}, id {order} OFFSET $1 LIMIT 1",
            (deep - 1) * PAGE - 1,
        )
        told = f"{deep:,}" + (", by key" if query is BY_KEY else "")
        pages[told] = replace(query, after=Position(edge[0], edge[1]))
    await connection.close()

    async def find() -> None:
        assert await store.objects.find(TENANT, ObjectId(random.choice(rows)["id"]))

    async def find_by_key() -> None:
        key = ObjectKey(random.choice(rows)["key"])
        assert await store.objects.find_by_key(TENANT, NAMESPACE, key)

    def list_(query: Query) -> Call:
        async def page() -> None:
            assert len((await store.objects.page(query)).objects) == PAGE

        return page

    return {
        "find by id": find,
        "find by key": find_by_key,
        **{f"list {PAGE}, page {name}": list_(query) for name, query in pages.items()},
    }


async def _measure(call: Call, seconds: float) -> list[float]:
    waits: list[float] = []
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        await call()
        waits.append(time.perf_counter() - begun)
    return waits


async def _compare(urls: dict[int, str], seconds: float) -> None:
    async with AsyncExitStack() as stack:
        waits: dict[int, dict[str, list[float]]] = {}
        calls: dict[int, dict[str, Call]] = {}
        for objects, url in urls.items():
            options = PostgresOptions(url=Secret(url))
            store = await stack.enter_async_context(open_backend(POSTGRES, options))
            calls[objects] = await _calls(store, url, objects)
            waits[objects] = {name: [] for name in calls[objects]}
        for _ in range(ROUNDS):
            for objects, named in calls.items():
                for name, call in named.items():
                    waits[objects][name] += await _measure(call, seconds / ROUNDS)
    small, large = urls
    few, many = ([(n, median(w)) for n, w in waits[objects].items()] for objects in urls)
    for (name, before), (other, after) in zip(few, many, strict=True):
        what = name if name == other else f"{name}; {other.removeprefix(f'list {PAGE}, ')}"
        print(
            f"{what:46} p50 {before * 1e3:6.3f} ms of {small:,}, {after * 1e3:6.3f} ms of"
            f" {large:,}: x {after / before:.2f}"
        )
    first, last = many[2][1], many[4][1]
    print(f"{many[4][0]} against {many[2][0]}, of {large:,}: x {last / first:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=3, help="for each call in each database")
    arguments = parser.parse_args()
    with own_server() as server, ExitStack() as stack:
        served = PostgresServer(server.url(), "its own", server)
        urls = {}
        for objects in (arguments.small, arguments.large):
            urls[objects] = url = stack.enter_context(made_database(served))
            migrate(url)
            begun = time.perf_counter()
            asyncio.run(_fill(url, objects))
            print(f"{objects:,} objects in {time.perf_counter() - begun:.0f} s", flush=True)
        asyncio.run(_compare(urls, arguments.seconds))


if __name__ == "__main__":
    main()
