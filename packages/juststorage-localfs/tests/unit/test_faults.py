"""The n-th call to the filesystem fails, or its caller is cancelled there, for every n."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from juststorage.domain import ContentHash, ObjectId
from juststorage.errors import JustStorageError, StorageFull, Unavailable
from juststorage.testing import make_content
from juststorage_localfs._writer import BLOCK_BYTES

DATA = bytes(range(256)) * 40
HASH: ContentHash = make_content(DATA).content_hash
OTHERS = [bytes([number]) * 1000 for number in range(3)]
CALLS_MAX = 80

Step = Callable[[Any], Awaitable[None]]
Steps = tuple[Step, Step, Step]


class Rig(NamedTuple):
    """What every loop works with."""

    root: Path
    opened: Any
    ops: Any
    open_files: Any


@pytest.fixture
def rig(tmp_path: Path, opened: Any, ops: Any, open_files: Any) -> Rig:
    """A directory, and how to open a store in it that fails."""
    return Rig(tmp_path, opened, ops, open_files)


async def upload(store: Any) -> None:
    """A streamed upload, as the use case does it."""
    async with await store.stage(ObjectId.new()) as staged:
        await staged.write(DATA[:5000])
        await staged.write(DATA[5000:])
        await staged.finish()
        await store.place(staged, HASH)


async def put(store: Any) -> None:
    """A small upload."""
    await store.put(ObjectId.new(), HASH, DATA)


async def remove_and_raise(store: Any) -> None:
    """A removal, its failure raised."""
    for error in (await store.remove([locator_of(HASH)])).values():
        raise error


async def bring_back(store: Any) -> None:
    """Back from the trash."""
    assert await store.restore(locator_of(HASH))


async def nothing(store: Any) -> None:
    """An empty store is what the step begins with."""


async def removed(store: Any) -> None:
    """The step begins with the blob in the trash."""
    await upload(store)
    await remove_and_raise(store)


def locator_of(content_hash: ContentHash) -> str:
    """The documented path."""
    return f"{content_hash.hex[:2]}/{content_hash.hex[2:4]}/{content_hash.hex}"


STEPS = [
    pytest.param((nothing, upload, upload), id="upload"),
    pytest.param((upload, upload, upload), id="upload of what is there"),
    pytest.param((nothing, put, put), id="put"),
    pytest.param((put, put, put), id="put of what is there"),
    pytest.param((upload, remove_and_raise, upload), id="remove"),
    pytest.param((removed, bring_back, bring_back), id="restore"),
]
ERRORS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE]


async def check(store: Any) -> None:
    """No half or wrong bytes at a final path, and what is staged is listed and goes away."""
    for blob in await store.scan(after=None, limit=100):
        assert blob.locator == locator_of(HASH)
        async with await store.open(blob.locator) as reader:
            assert b"".join([piece async for piece in reader.chunks(0, reader.size_bytes)]) == DATA
    await store.discard(await store.staged(older_than_s=0, limit=100))
    assert await store.staged(older_than_s=0, limit=100) == []


def synced_once(log: list[tuple[str, str]]) -> bool:
    """Whether no file under staging was synced twice."""
    synced = [path for call, path in log if call == "fsync" and path.startswith(".staging/")]
    return len(synced) == len(set(synced))


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("steps", STEPS)
async def test_every_call_may_fail(rig: Rig, steps: Steps, error: int) -> None:
    """A failed call fails its operation at most: no wrong bytes, no leak; the next one works."""
    before, step, again = steps
    ops, open_files = rig.ops, rig.open_files
    for number in count(1):
        assert number < CALLS_MAX
        async with rig.opened(rig.root / str(number), ops=ops) as store:
            await before(store)
            files = open_files()
            ops.fail_at(number, error)
            raised: JustStorageError | None = None
            try:
                await step(store)
            except JustStorageError as caught:
                raised = caught
            ops.disarm()
            if ops.fired is None:
                assert raised is None
                return
            assert open_files() == files
            assert synced_once(ops.log)
            if raised is not None:
                full = error in {errno.ENOSPC, errno.EDQUOT}
                assert type(raised) is (StorageFull if full else Unavailable)
                assert "/" not in str(raised).replace("input/output", "")
            await check(store)
            lost = ops.fired[0] == "fsync" and error == errno.EIO
            if lost:
                assert raised is not None
                with pytest.raises(Unavailable):
                    await store.ping()
            elif error != errno.EIO:
                await store.ping()
            await again(store)
            assert await store.stat(locator_of(HASH)) == len(DATA)
            await check(store)
            assert open_files() == files


@pytest.mark.parametrize("steps", STEPS)
async def test_every_call_may_be_cancelled(rig: Rig, steps: Steps) -> None:
    """Who is cancelled during a call waits for it, and leaves a whole blob or a staged entry."""
    before, step, again = steps
    ops, open_files = rig.ops, rig.open_files
    for number in count(1):
        assert number < CALLS_MAX
        async with rig.opened(rig.root / str(number), ops=ops) as store:
            await before(store)
            files = open_files()
            ops.block_at(number)
            over = anyio.Event()

            async def run(store: Any = store, over: anyio.Event = over) -> None:
                try:
                    await step(store)
                finally:
                    over.set()
                    ops.reached.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                await ops.reached.wait()
                if over.is_set():
                    ops.disarm()
                    return
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    for _ in range(5):
                        await anyio.lowlevel.checkpoint()
                    assert not over.is_set()
                    ops.release()
            assert open_files() == files
            await check(store)
            await again(store)
            assert await store.stat(locator_of(HASH)) == len(DATA)
            assert await store.staged(older_than_s=0, limit=100) == []


@pytest.mark.parametrize("whole", [True, False], ids=["one sync", "each synced"])
async def test_neighbours_do_not_fail_together(
    tmp_path: Path, opened: Any, ops: Any, file_ops: Any, whole: bool
) -> None:
    """In a group, the failure of one small body is its own, except a failed sync of them all."""
    chosen = ops if whole else file_ops
    for number in count(1):
        assert number < CALLS_MAX
        async with opened(tmp_path / str(number), ops=chosen) as store:
            answers: dict[int, object] = {}

            async def one(turn: int, store: Any = store, answers: Any = answers) -> None:
                content = make_content(OTHERS[turn]).content_hash
                try:
                    answers[turn] = await store.put(ObjectId.new(), content, OTHERS[turn])
                except JustStorageError as error:
                    answers[turn] = error

            chosen.fail_at(number, errno.ENOSPC)
            async with anyio.create_task_group() as tasks:
                for turn in range(len(OTHERS)):
                    tasks.start_soon(one, turn)
            chosen.disarm()
            if chosen.fired is None:
                return
            failed = [turn for turn, answer in answers.items() if not isinstance(answer, str)]
            assert len(failed) <= (3 if chosen.fired[0] == "sync_volume" else 1)
            for turn, answer in answers.items():
                if isinstance(answer, str):
                    async with await store.open(answer) as reader:
                        assert reader.read_now(0, 1000) in (None, OTHERS[turn])
                        assert reader.size_bytes == 1000
                else:
                    assert isinstance(answer, StorageFull)


async def test_a_short_write_is_continued(tmp_path: Path, opened: Any, ops: Any) -> None:
    """What the system did not take at once is written with the next call."""
    real = type(ops).write

    class Short(type(ops)):  # type: ignore[misc]
        def write(self, fd: int, data: Any) -> int:
            return int(real(self, fd, memoryview(data)[:777]))

    async with opened(tmp_path, ops=Short()) as store:
        await put(store)
        await check(store)
        assert len(await store.scan(after=None, limit=10)) == 1


async def test_after_a_failed_write_nothing_follows(tmp_path: Path, opened: Any, ops: Any) -> None:
    """Bytes behind a hole would be other bytes, so the upload is over."""
    async with opened(tmp_path, ops=ops) as store:
        async with await store.stage(ObjectId.new()) as staged:
            ops.fail_at(1, errno.EIO)
            with pytest.raises(Unavailable):
                await staged.write(bytes(BLOCK_BYTES))
            with pytest.raises(Unavailable):
                await staged.write(b"two")
            with pytest.raises(Unavailable):
                await staged.finish()
        assert await store.staged(older_than_s=0, limit=10) == []
