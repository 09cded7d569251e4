"""Idempotency keys: one request, one object, one answer, however often it is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from msgspec.structs import replace

from juststorage.domain import (
    Change,
    Conditions,
    IdempotencyKey,
    ObjectKey,
    ObjectStatus,
    TenantId,
)
from juststorage.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    KeyConflict,
    PreconditionFailed,
    UploadExpired,
)
from juststorage.ports import Committed, MetadataStore, UploadIntent
from juststorage.testing._builders import (
    LEASE_S,
    TENANT,
    locator_of,
    make_content,
    make_intent,
    store_object,
)
from juststorage.testing.contracts._metadata_base import (
    MetadataTests,
    begin,
    reserve,
    scan_objects,
    status_of,
)

__all__ = ["MetadataIdempotency"]

CONTENT = make_content("sent twice")


def keyed(
    key: str | None = None,
    *,
    text: str = "key-1",
    request: str = "a request",
    ttl_s: float = 3600.0,
    tenant_id: str = TENANT,
    put: bool = False,
    conditions: Conditions | None = None,
) -> UploadIntent:
    """An intent with an idempotency key; a fresh object, as each try has."""
    intent = make_intent(key, tenant_id=tenant_id, replace=put)
    idempotency = IdempotencyKey(text=text, request=request, ttl_s=ttl_s)
    return replace(intent, idempotency=idempotency, conditions=conditions or intent.conditions)


class MetadataIdempotency(MetadataTests):
    """Failures first."""

    @pytest.mark.parametrize("reserved", [True, False], ids=["reserved", "bare"])
    async def test_the_answer_comes_from_the_row(
        self, store: MetadataStore, *, reserved: bool
    ) -> None:
        """Whoever commits may know no more than id, epoch and key, as another process does.

        The key need not have come with the beginning.
        """
        intent = make_intent("k", replace=True, content_type="text/plain", metadata={"a": 1})
        before = await store_object(store, make_intent("k"))
        begun = await begin(store, intent)
        reservation = await store.objects.reserve(begun, CONTENT)
        bare = make_intent("k", replace=True).new
        lease = reservation.lease if reserved else begun
        lease = replace(
            lease,
            intent=replace(keyed("k", put=True), new=replace(bare, id=intent.new.id)),
            object=replace(lease.object, content_type=bare.content_type, metadata=bare.metadata),
        )
        committed = await store.objects.commit(lease, locator_of(CONTENT))
        assert committed.object == await store.objects.find(TENANT, intent.new.id)
        assert committed.object.content_type == "text/plain"
        assert committed.replaced == before.object.id
        await store.objects.delete(TENANT, intent.new.id)
        found = await store.idempotency.find(TENANT, "key-1")
        assert found is not None
        assert found.committed == replace(committed, object=replace(committed.object, locator=None))

    async def test_while_the_first_is_under_way(self, store: MetadataStore) -> None:
        """The second is told to wait, and leaves nothing; another request is told so."""
        first = await begin(store, keyed("k"))
        found = await store.idempotency.find(TENANT, "key-1")
        assert found is not None and (found.request, found.committed) == ("a request", None)
        before = await scan_objects(store)
        for again in (keyed("k"), keyed("other")):
            with pytest.raises(IdempotencyInFlight) as caught:
                await begin(store, again)
            assert caught.value.fields["retry_after_s"] >= 1
            with pytest.raises(IdempotencyInFlight):
                await store.objects.begin_reserved(again, CONTENT, lease_s=LEASE_S)
        with pytest.raises(IdempotencyMismatch):
            await begin(store, keyed("k", request="another request"))
        assert await scan_objects(store) == before
        reserved = await store.objects.reserve(first, CONTENT)
        with pytest.raises(IdempotencyInFlight):
            await begin(store, keyed("k"))
        await store.objects.commit(reserved.lease, locator_of(CONTENT))

    async def test_the_answer_is_there_with_the_object(self, store: MetadataStore) -> None:
        """From the commit on, whichever way it came about, the first answer is found."""
        streamed = await reserve(store, keyed("a", text="streamed"), CONTENT)
        answers = {
            "streamed": await store.objects.commit(streamed.lease, locator_of(CONTENT)),
            # The content is stored already: committed by the transaction that begins it.
            "at-once": await store_object(store, keyed("b", text="at-once"), CONTENT),
            "replacing": await store_object(store, keyed("b", text="replacing", put=True), CONTENT),
            "placed": await store_object(store, keyed("c", text="placed")),
        }
        assert answers["replacing"].replaced == answers["at-once"].object.id
        for text, answer in answers.items():
            found = await store.idempotency.find(TENANT, text)
            assert found is not None and found.request == "a request"
            assert found.committed == _bare(answer)
            with pytest.raises(IdempotencyInFlight):
                await begin(store, keyed("d", text=text))
            with pytest.raises(IdempotencyMismatch):
                await begin(store, keyed("d", text=text, request="another request"))

    async def test_the_first_answer_stays(self, store: MetadataStore) -> None:
        """Whatever becomes of the object: changed, deleted, forgotten."""
        answer = await store_object(store, keyed("k"), CONTENT)
        object_id = answer.object.id
        changed = Change(key=ObjectKey("l"), content_type="x/y", merge_metadata={"a": 1})
        await store.objects.update(TENANT, object_id, changed)
        await store.objects.delete(TENANT, object_id)
        other = await store_object(store, make_intent(), CONTENT)
        await store.objects.bury(limit=10)
        await store.objects.purge_tombstones(older_than_s=0, limit=10)
        found = await store.idempotency.find(TENANT, "key-1")
        assert found is not None and found.committed == _bare(answer)
        assert await store.objects.find(TENANT, other.object.id) is not None

    async def test_a_first_that_failed_never_was(self, store: MetadataStore) -> None:
        """Aborted, reaped, or refused at its commit: the next one is the first."""
        aborted = await begin(store, keyed())
        await store.objects.abort(aborted)
        assert await store.idempotency.find(TENANT, "key-1") is None
        await begin(store, keyed(), lease_s=0)
        await store.objects.reap(limit=10)
        assert await store.idempotency.find(TENANT, "key-1") is None
        unless_there = Conditions(if_none_match=frozenset())
        refused = await reserve(store, keyed("k", put=True, conditions=unless_there), CONTENT)
        await store_object(store, make_intent("k"))
        with pytest.raises(PreconditionFailed):
            await store.objects.commit(refused.lease, locator_of(CONTENT))
        await store.objects.abort(refused.lease)
        with pytest.raises(KeyConflict):
            await begin(store, keyed("k", request="refused at its begin"))
        assert await store.idempotency.find(TENANT, "key-1") is None
        answer = await store_object(store, keyed(request="another request"), CONTENT)
        found = await store.idempotency.find(TENANT, "key-1")
        assert found is not None and found.committed == _bare(answer)

    async def test_a_first_that_died(self, store: MetadataStore) -> None:
        """When its lease is over the next one goes ahead, and the dead one cannot come back."""
        dead = await reserve(store, keyed("k"), CONTENT, lease_s=0)
        assert await store.idempotency.find(TENANT, "key-1") is None
        answer = await store_object(store, keyed("k"), CONTENT)
        assert await status_of(store, dead.lease.object.id) is ObjectStatus.DELETED
        with pytest.raises(UploadExpired):
            await store.objects.commit(dead.lease, locator_of(CONTENT))
        found = await store.idempotency.find(TENANT, "key-1")
        assert found is not None and found.committed == _bare(answer)

    async def test_a_late_first_that_nobody_has_taken_over(self, store: MetadataStore) -> None:
        """A lease that is over and not reaped can still commit; then that is the answer."""
        late = await reserve(store, keyed(ttl_s=0), CONTENT, lease_s=0)
        assert await store.idempotency.purge(limit=10) == 1
        kept = replace(late.lease.intent.idempotency, ttl_s=3600.0)  # type: ignore[type-var]
        lease = replace(late.lease, intent=replace(late.lease.intent, idempotency=kept))
        answer = await store.objects.commit(lease, locator_of(CONTENT))
        found = await store.idempotency.find(TENANT, "key-1")
        assert found is not None and found.committed == _bare(answer)

    async def test_a_key_is_its_tenants(self, store: MetadataStore) -> None:
        """The same text means nothing to another tenant (I11)."""
        mine = await store_object(store, keyed("k"), CONTENT)
        other = TenantId("globex")
        assert await store.idempotency.find(other, "key-1") is None
        theirs = await store_object(store, keyed("k", tenant_id=other, request="r"), CONTENT)
        for tenant_id, answer in ((TENANT, mine), (other, theirs)):
            found = await store.idempotency.find(tenant_id, "key-1")
            assert found is not None and found.committed == _bare(answer)

    async def test_when_its_time_is_over(self, store: MetadataStore) -> None:
        """It is a first request again; the record goes, and those that still count stay."""
        await store_object(store, keyed(text="over", ttl_s=0), CONTENT)
        kept = await store_object(store, keyed(text="kept"), CONTENT)
        under_way = await begin(store, keyed(text="under-way", ttl_s=0))
        died = await begin(store, keyed(text="died", ttl_s=0), lease_s=0)
        aborted = await begin(store, keyed(text="aborted", ttl_s=0))
        await store.objects.abort(aborted)
        assert await store.idempotency.find(TENANT, "over") is None
        assert await store.idempotency.purge(limit=2) == 2
        assert await store.idempotency.purge(limit=2) == 1
        assert await store.idempotency.purge(limit=2) == 0
        found = await store.idempotency.find(TENANT, "kept")
        assert found is not None and found.committed == _bare(kept)
        assert await store.idempotency.find(TENANT, "under-way") is not None
        await store.objects.abort(under_way)
        await store.objects.abort(died)
        again = await store_object(store, keyed(text="over", request="another"), CONTENT)
        found = await store.idempotency.find(TENANT, "over")
        assert found is not None and found.committed == _bare(again)

    async def test_many_requests_at_once(self, store: MetadataStore) -> None:
        """Of requests with one key that arrive together, one goes ahead."""
        began = await self._send_together(store, lambda text: begin(store, keyed(text=text)))
        assert began == (3, 27)
        stored = await self._send_together(
            store, lambda text: store_object(store, keyed(text=f"whole-{text}"), CONTENT)
        )
        assert stored == (3, 27)

    async def _send_together(
        self, store: MetadataStore, send: Callable[[str], Awaitable[object]]
    ) -> tuple[int, int]:
        """Thirty requests with three keys: how many went ahead, and how many were told to wait."""
        went: list[object] = []
        waits: list[IdempotencyInFlight] = []

        async def one(text: str) -> None:
            try:
                went.append(await send(text))
            except IdempotencyInFlight as error:
                waits.append(error)

        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(one, f"key-{number % 3}")
        return len(went), len(waits)


def _bare(answer: Committed) -> Committed:
    """The answer without what only this process knows."""
    return replace(answer, object=replace(answer.object, locator=None))
