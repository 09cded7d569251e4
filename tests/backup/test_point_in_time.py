"""The recipe of docs/backup.md: any instant, with PostgreSQL's own tools."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest

from juststorage.runtime import make_collector
from juststorage_postgres.testing import PostgresServer, made_database, migrate, own_server

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"


def setting(name: str, **places: str) -> str:
    """What the page says to set, at our places."""
    lines = [line.strip() for line in PAGE.read_text().splitlines()]
    (found,) = [line for line in lines if line.startswith(f"{name} = ")]
    value = found.partition(" = ")[2].strip("'")
    for place, ours in places.items():
        value = value.replace(f"/mnt/{place}", ours)
    return value


async def ask(url: str, statement: str) -> Any:
    """One value."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("grace", ["0"])
async def test_back_to_an_instant(deploy: Any, contents: dict[str, bytes], grace: str) -> None:
    """What was deleted and collected since is there again, bit by bit; what came since is not."""
    with own_server() as server:
        wal, data = server.make_directory("wal"), server.root / "data"
        archiving = {
            "archive_mode": setting("archive_mode"),
            "archive_command": setting("archive_command", wal=str(wal)),
        }
        server.stop()
        server.start(**archiving)
        with made_database(PostgresServer(server.url(), "own", server)) as url:
            migrate(url)
            first = deploy(
                "first",
                JUSTSTORAGE__METADATA__BACKEND="postgres",
                JUSTSTORAGE__METADATA__POSTGRES__URL=url,
                JUSTSTORAGE__GC__GRACE_S=grace,
            )
            await first.fill({"before the base": b"before"})
            base = server.make_directory("base")
            base.chmod(0o700)
            ran = server.spawn(
                server.binaries / "pg_basebackup",
                *("--pgdata", base, "--host", server.root, "--username", "postgres"),
                *("--checkpoint=fast", "--wal-method=stream"),
            )
            assert await anyio.to_thread.run_sync(ran.wait) == 0, server.log()
            await first.fill(contents)
            instant = await ask(url, "SELECT clock_timestamp()::text")
            objects = await first.fill({"after": b"came after the instant"})
            async with first.opened() as runtime:
                page = await runtime.metadata.objects.scan(after=None, limit=1000)
                by_tenant = [each.id for each in page if each.id != objects["after"].id]
                await runtime.metadata.objects.delete_many(page[0].tenant_id, by_tenant)
                report = await make_collector(runtime).run()
                assert report.removed == len({each.blob for each in map(_Key, page)}) - 1
            await ask(url, "SELECT pg_switch_wal()::text")
            server.stop()
            shutil.rmtree(data)
            base.rename(data)
            server.write(data / "recovery.signal", b"")
            server.start(
                **archiving,
                restore_command=setting("restore_command", wal=str(wal)),
                recovery_target_time=instant,
                recovery_target_action=setting("recovery_target_action"),
            )
            with anyio.fail_after(30):
                while await ask(url, "SELECT pg_is_in_recovery()"):  # noqa: ASYNC110  another process
                    await anyio.sleep(0.05)
            assert first.run("fsck", "--repair").returncode == 1
            assert first.done("fsck") == "clean\n"
            await first.check(contents | {"before the base": b"before"})
            async with first.opened() as runtime:
                with pytest.raises(AssertionError, match="after"):
                    await first.read("after", runtime)


class _Key:
    """The blob of an object."""

    def __init__(self, stored: Any) -> None:
        self.blob = (stored.content_hash, stored.storage_class)
