"""What is tried again, how often, and what a failure costs those who share its statement.

The failures are the server's own: a trigger raises them, and a sequence, which no rollback takes
back, counts how often.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import asyncpg
import pytest

from juststorage.errors import BackendError, JustStorageError, Unavailable
from juststorage.ports import MetadataStore
from juststorage.testing import audit_metadata, make_content, make_intent, store_object
from juststorage_postgres._pool import ATTEMPTS_MAX, pause_s

TENANT = make_intent().new.tenant_id

SHARED = 2
"""Shared statements that a request goes through before it has a transaction of its own."""

FAIL = """
CREATE SEQUENCE failures;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('failures') <= {times} THEN
        RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON objects
    FOR EACH ROW WHEN (NEW.key = 'bad' {only}) EXECUTE FUNCTION fail();
"""

MEND = "DROP FUNCTION IF EXISTS fail CASCADE; DROP SEQUENCE IF EXISTS failures"

Fail = Callable[..., Awaitable[None]]


@pytest.fixture
async def fail(raw: asyncpg.Connection) -> AsyncIterator[Fail]:
    """Makes changes of the object `bad` fail so many times with this code."""

    async def fail(code: str, times: int, only: str = "") -> None:
        await raw.execute(FAIL.format(code=code, times=times, only=only))

    yield fail
    await raw.execute(MEND)


async def failures(raw: asyncpg.Connection) -> int:
    """How often the change was tried."""
    tried: int = await raw.fetchval("SELECT last_value FROM failures")
    return tried


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03"])
async def test_a_failure_that_passes(
    store: MetadataStore, raw: asyncpg.Connection, fail: Fail, code: str
) -> None:
    """Serialization failures, deadlocks and lock timeouts are tried again, and nobody hears."""
    times = SHARED + ATTEMPTS_MAX - 1
    await fail(code, times)
    done = await store_object(store, make_intent("bad"), make_content("c"))
    assert await failures(raw) > times
    assert await store.objects.find(TENANT, done.object.id) == done.object
    assert await audit_metadata(store) == []


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03"])
async def test_a_failure_that_does_not_pass(
    store: MetadataStore, raw: asyncpg.Connection, fail: Fail, code: str
) -> None:
    """There is an end to it: after a number of attempts the caller may try again later."""
    await fail(code, 1_000_000)
    with pytest.raises(Unavailable):
        await store.objects.begin(make_intent("bad"), lease_s=60)
    assert await failures(raw) == SHARED + ATTEMPTS_MAX
    assert await audit_metadata(store) == []


async def test_another_failure(store: MetadataStore, raw: asyncpg.Connection, fail: Fail) -> None:
    """What will fail again is not repeated."""
    await fail("22012", 1_000_000)
    with pytest.raises(BackendError):
        await store.objects.begin(make_intent("bad"), lease_s=60)
    assert await failures(raw) == SHARED + 1
    assert await audit_metadata(store) == []


CALLS = {
    "begin": "AND NEW.content_hash IS NULL",
    "begin_reserved": "AND NEW.content_hash IS NOT NULL AND NEW.status = 'WRITING'",
    "commit": "AND NEW.status = 'COMMITTED'",
    "delete": "AND NEW.status = 'DELETING'",
}


@pytest.mark.parametrize("code", ["22012", "40001"])
@pytest.mark.parametrize("call", CALLS)
async def test_neighbours(
    store: MetadataStore, raw: asyncpg.Connection, fail: Fail, call: str, code: str
) -> None:
    """Of forty requests that share statements one fails, in every kind of change; 39 succeed."""
    await fail(code, 1_000_000, CALLS[call])
    outcomes: dict[str, str] = {}

    async def request(name: str) -> None:
        intent, content = make_intent(name), make_content(name)
        try:
            if call == "begin":
                await store.objects.abort(await store.objects.begin(intent, lease_s=60))
            else:
                done = await store_object(store, intent, content)
                if call == "delete":
                    await store.objects.delete(TENANT, done.object.id)
            outcomes[name] = "done"
        except JustStorageError as error:
            outcomes[name] = type(error).__name__

    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(request, "bad" if number == 20 else f"k{number}")
    failed = outcomes.pop("bad")
    assert failed == ("BackendError" if code == "22012" else "Unavailable")
    assert set(outcomes.values()) == {"done"}, outcomes
    assert len(outcomes) == 39
    assert await audit_metadata(store) == []


def test_pauses_are_random_grow_and_stay_short() -> None:
    """Two that failed together do not meet again, and all attempts together take no second."""
    pauses = [[pause_s(attempt) for _ in range(200)] for attempt in range(1, ATTEMPTS_MAX)]
    assert all(len(set(each)) > 100 for each in pauses)
    longest = [max(each) for each in pauses]
    assert longest[0] <= 0.004 < longest[3] <= 0.032 < longest[-1] <= 0.1
    assert sum(longest) < 1
