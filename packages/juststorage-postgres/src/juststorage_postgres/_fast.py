"""FastLane: the requests that come by the thousand, each through its gathered statement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from juststorage.domain import (
    UNCONDITIONAL,
    ApiKey,
    ContentHash,
    ObjectId,
    ObjectStatus,
    StoredObject,
    TenantId,
)
from juststorage.ports import Committed, Lease, Reservation, Tracer
from juststorage_postgres import _statements
from juststorage_postgres._careful import (
    FIRST_EPOCH,
    Begin,
    Commit,
    Delete,
    Reserve,
    begin_all,
    commit_all,
    delete_all,
    reserve_all,
)
from juststorage_postgres._gathered import Gathered, Sharing, lookups
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres._pool import Connection, Pool
from juststorage_postgres._rows import KeyName, api_key_of, object_of

__all__ = ["FastLane"]


class FastLane:
    """The gatherers of one store."""

    def __init__(self, pool: Pool, options: PostgresOptions, tracer: Tracer | None = None) -> None:
        writes = Sharing(options.batch_max, options.write_batches_max, tracer)
        reads = Sharing(options.batch_max, options.read_batches_max, tracer)
        self._begin: Gathered[Begin, Reservation | Committed] = Gathered(
            "begin", pool, _begin, begin_all, writes
        )
        self._begin_reserved: Gathered[Begin, Reservation | Committed] = Gathered(
            "begin_reserved", pool, _begin_reserved, begin_all, writes
        )
        self._reserve = Gathered("reserve", pool, _reserve, reserve_all, writes)
        self._commit = Gathered("commit", pool, _commit, commit_all, writes)
        self._delete = Gathered("delete", pool, _delete, delete_all, writes)
        self._find = lookups("find", pool, _find, reads)
        self._find_by_key = lookups("find_by_key", pool, _find_by_key, reads)
        self._find_api_key = lookups("find_api_key", pool, _find_api_keys, reads)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Run all gatherers."""
        async with AsyncExitStack() as stack:
            for changes in (
                self._begin,
                self._begin_reserved,
                self._reserve,
                self._commit,
                self._delete,
            ):
                await stack.enter_async_context(changes.opened())
            for finds in (self._find, self._find_by_key, self._find_api_key):
                await stack.enter_async_context(finds)
            yield

    @property
    def depth(self) -> int:
        """Requests that wait for a batch."""
        changes = (self._begin, self._begin_reserved, self._reserve, self._commit, self._delete)
        finds = (self._find, self._find_by_key, self._find_api_key)
        return sum(each.depth for each in changes) + sum(each.depth for each in finds)

    async def begin(self, item: Begin) -> Reservation | Committed:
        """Begin an upload, and reserve where the content is known."""
        # What a POST may not meet is any holder at all, and the insert finds out; what a PUT asks
        # of its key's holder needs a look at it.
        conditions = item.intent.conditions
        is_common = item.intent.idempotency is None and (
            conditions == UNCONDITIONAL or (not item.intent.replace and conditions.if_match is None)
        )
        if item.content is None:
            return await self._begin.submit(item, is_common=is_common)
        return await self._begin_reserved.submit(item, is_common=is_common)

    async def reserve(self, item: Reserve) -> Reservation:
        """Reserve an upload's content."""
        return await self._reserve.submit(item)

    async def commit(self, item: Commit) -> Committed:
        """Commit an upload."""
        intent = item.lease.intent
        is_common = intent.idempotency is None and (
            intent.conditions == UNCONDITIONAL or not intent.replace
        )
        return await self._commit.submit(item, is_common=is_common)

    async def delete(self, item: Delete) -> StoredObject:
        """Delete an object."""
        return await self._delete.submit(item, is_common=item.conditions == UNCONDITIONAL)

    async def find(self, tenant_id: TenantId, object_id: ObjectId) -> StoredObject | None:
        """Find a tenant's committed object."""
        found = await self._find.submit(object_id)
        return found if found is not None and found.tenant_id == tenant_id else None

    async def find_by_key(self, key_name: KeyName) -> StoredObject | None:
        """Find the committed object that holds a key."""
        return await self._find_by_key.submit(key_name)

    async def find_api_key(self, hashed: bytes) -> ApiKey | None:
        """Find an API key by its hash."""
        return await self._find_api_key.submit(hashed)


# -- statements, with their arrays and their answers ------------------------------------------


def _sendable(ids: Sequence[ObjectId]) -> dict[ObjectId, int]:
    """Which items to send, in the order of ids: of several with one id the first.

    The others are no common case. In the order of ids, because so rows are locked.
    """
    places: dict[ObjectId, int] = {}
    for place, object_id in enumerate(ids):
        places.setdefault(object_id, place)
    return dict(sorted(places.items()))


def _new_arrays(items: Sequence[Begin]) -> list[list[object]]:
    values = [
        (
            new.id,
            new.namespace,
            new.tenant_id,
            new.key,
            new.storage_class,
            new.content_type,
            new.metadata.encoded.decode(),
            new.key is not None and not item.intent.replace,
            item.lease_s,
        )
        for item in items
        for new in (item.intent.new,)
    ]
    return [list(column) for column in zip(*values, strict=True)]


async def _begin(
    connection: Connection, items: Sequence[Begin]
) -> Sequence[Reservation | Committed | None]:
    places = _sendable([item.intent.new.id for item in items])
    sent = [items[place] for place in places.values()]
    answers: list[Reservation | Committed | None] = [None] * len(items)
    for row in await connection.fetch(_statements.BEGIN, *_new_arrays(sent)):
        place = places[row["id"]]
        intent = items[place].intent
        begun = StoredObject.begin(intent.new, row["created_at"])
        answers[place] = Reservation(Lease(intent=intent, object=begun, epoch=FIRST_EPOCH), None)
    return answers


async def _begin_reserved(
    connection: Connection, items: Sequence[Begin]
) -> Sequence[Reservation | Committed | None]:
    places = _sendable([item.intent.new.id for item in items])
    sent = [items[place] for place in places.values()]
    contents = [item.content for item in sent if item.content is not None]
    rows = await connection.fetch(
        _statements.BEGIN_RESERVED,
        *_new_arrays(sent),
        [content.content_hash for content in contents],
        [content.size_bytes for content in contents],
    )
    answers: list[Reservation | Committed | None] = [None] * len(items)
    for row in rows:
        place = places[row["id"]]
        intent, content = items[place].intent, items[place].content
        assert content is not None
        now, locator = row["created_at"], row["locator"]
        begun = StoredObject.begin(intent.new, now).with_content(
            content.content_hash, content.size_bytes
        )
        if row["status"] == ObjectStatus.COMMITTED:
            answers[place] = Committed(begun.commit(locator, now))
        else:
            lease = Lease(intent=intent, object=begun, epoch=FIRST_EPOCH)
            answers[place] = Reservation(lease, locator)
    return answers


async def _reserve(
    connection: Connection, items: Sequence[Reserve]
) -> Sequence[Reservation | None]:
    places = _sendable([item.lease.object.id for item in items])
    sent = [items[place] for place in places.values()]
    rows = await connection.fetch(
        _statements.RESERVE,
        list(places),
        [item.lease.epoch for item in sent],
        [item.content.content_hash for item in sent],
        [item.content.size_bytes for item in sent],
    )
    answers: list[Reservation | None] = [None] * len(items)
    for row in rows:
        place = places[row["id"]]
        lease, content = items[place].lease, items[place].content
        held = lease.object.with_content(content.content_hash, content.size_bytes)
        answers[place] = Reservation(replace(lease, object=held), row["locator"])
    return answers


async def _commit(connection: Connection, items: Sequence[Commit]) -> Sequence[Committed | None]:
    places = _sendable([item.lease.object.id for item in items])
    # Of several that would take one key, one goes ahead: the index refuses the second, and with it
    # the whole statement.
    by_key = {items[place].key_name or object_id: place for object_id, place in places.items()}
    sent = [items[place] for place in sorted(by_key.values())]
    rows = await connection.fetch(
        _statements.COMMIT,
        [item.lease.object.id for item in sent],
        [item.lease.epoch for item in sent],
        [item.locator for item in sent],
        [item.lease.intent.replace for item in sent],
    )
    answers: list[Committed | None] = [None] * len(items)
    for row in rows:
        place = places[row["id"]]
        held = items[place].lease.object.with_content(
            ContentHash(row["content_hash"]), row["size_bytes"]
        )
        answers[place] = Committed(held.commit(row["locator"], row["updated_at"]))
    return answers


async def _delete(connection: Connection, items: Sequence[Delete]) -> Sequence[StoredObject | None]:
    places = _sendable([item.object_id for item in items])
    rows = await connection.fetch(
        _statements.DELETE,
        list(places),
        [items[place].tenant_id for place in places.values()],
    )
    answers: list[StoredObject | None] = [None] * len(items)
    for row in rows:
        answers[places[row["id"]]] = object_of(row)
    return answers


async def _find(connection: Connection, ids: Sequence[ObjectId]) -> Sequence[StoredObject | None]:
    rows = await connection.fetch(_statements.FIND, list(set(ids)))
    found = {row["id"]: object_of(row, row["locator"]) for row in rows}
    return [found.get(object_id) for object_id in ids]


async def _find_by_key(
    connection: Connection, names: Sequence[KeyName]
) -> Sequence[StoredObject | None]:
    wanted = set(names)
    rows = await connection.fetch(
        _statements.FIND_BY_KEY,
        [tenant_id for tenant_id, _, _ in wanted],
        [namespace for _, namespace, _ in wanted],
        [key for _, _, key in wanted],
    )
    found = {
        (row["tenant_id"], row["namespace"], row["key"]): object_of(row, row["locator"])
        for row in rows
    }
    return [found.get(name) for name in names]


async def _find_api_keys(
    connection: Connection, hashes: Sequence[bytes]
) -> Sequence[ApiKey | None]:
    rows = await connection.fetch(_statements.FIND_API_KEYS, list(set(hashes)))
    found = {row["hashed"]: api_key_of(row) for row in rows}
    return [found.get(hashed) for hashed in hashes]
