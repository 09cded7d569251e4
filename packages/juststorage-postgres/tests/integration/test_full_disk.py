"""The database's own disk is full: what would store more is refused as such, and it passes."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from juststorage.errors import StorageFull
from juststorage.ports import Committed, MetadataStore
from juststorage.testing import audit_metadata, do_without, make_intent, store_object
from juststorage_postgres.testing import LocalServer, run_sql
from juststorage_postgres.testing.stoppable import *  # noqa: F403

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]
TENANT = make_intent().new.tenant_id
AT_ONCE = 50


@pytest.fixture
def disk(server: LocalServer, url: str) -> Iterator[Path]:
    """A small filesystem that has the tables of the test's database, and not the server's log."""
    folder = server.make_directory("small")
    _run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder))
    try:
        owner = server.root.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        name = url.partition("?")[0].rpartition("/")[2]
        run_sql(server.url(), f"CREATE TABLESPACE small LOCATION '{folder}'")
        run_sql(server.url(), f'ALTER DATABASE "{name}" SET TABLESPACE small')
        yield folder
        run_sql(server.url(), f'ALTER DATABASE "{name}" SET TABLESPACE pg_default')
        run_sql(server.url(), "DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _run(*command: str) -> None:
    """Run it, or do without filesystems."""
    if shutil.which(command[0]) is None:
        do_without("mount", f"there is no {command[0]} here")
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        do_without("mount", f"no filesystem can be mounted here: {ran.stderr.strip()}")


async def _upload(store: MetadataStore) -> Committed:
    return await store_object(store, make_intent(metadata={"note": os.urandom(1500).hex()}))


async def test_uploads_are_told_that_there_is_no_room(
    open_store: OpenStore, url: str, disk: Path
) -> None:
    """Alone and in company; what is there can be read, and all goes on once there is room."""
    async with open_store(url) as store:
        stored: list[Committed] = []
        refused: list[Any] = []
        while not refused:
            answers = await asyncio.gather(
                *[_upload(store) for _ in range(AT_ONCE)], return_exceptions=True
            )
            stored += [each for each in answers if isinstance(each, Committed)]
            refused = [each for each in answers if isinstance(each, BaseException)]
        assert {type(each) for each in refused} == {StorageFull}
        for each in stored[:: len(stored) // 20]:
            assert await store.objects.find(TENANT, each.object.id) == each.object
        _run("mount", "-o", "remount,size=96m", str(disk))
        stored += [await _upload(store) for _ in range(AT_ONCE)]
        for each in stored[-AT_ONCE:]:
            assert await store.objects.find(TENANT, each.object.id) == each.object
        await store.objects.delete(TENANT, stored[0].object.id)
        assert await audit_metadata(store) == []
