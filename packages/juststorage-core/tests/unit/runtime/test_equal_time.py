"""`uploads.equal_time`, from the configuration to the use case."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from juststorage.domain import Namespace, NewObject, ObjectId, TenantId
from juststorage.ports import UploadIntent
from juststorage.runtime import UseCases, open_runtime
from juststorage.testing import FakeClock

MEMORY: dict[str, Any] = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}},
    "auth": {"chain": []},
}


@pytest.mark.parametrize("equal_time", [True, False])
async def test_the_option_lets_stored_content_wait(
    equal_time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New content takes a second by the clock; what is stored waits for one, or for nothing."""
    clock = FakeClock()
    config = {**MEMORY, "uploads": {"equal_time": equal_time}}
    async with open_runtime(config, discover=False, clock=clock) as runtime:
        [store] = runtime.blobs.values()
        put = store.put

        async def slow_put(*arguments: Any) -> str:
            await clock.advance(1)
            return await put(*arguments)

        monkeypatch.setattr(store, "put", slow_put)
        cases = await UseCases.of(runtime)

        async def upload() -> None:
            new = NewObject(id=ObjectId.new(), namespace=Namespace("n"), tenant_id=TenantId("t"))
            await cases.upload.whole(UploadIntent(new=new), b"abc")

        await upload()
        sleepers = clock.sleepers
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload)
            await anyio.wait_all_tasks_blocked()
            assert clock.sleepers == sleepers + equal_time
            await clock.advance(1)
