"""The recipe of docs/backup.md: any instant, with PostgreSQL's own tools."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest

from juststorage.runtime import make_collector
from juststorage_postgres.testing import (
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
)
from scripts.follow_tutorial import blocks

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"


MARK = ("run by", "tests/backup/test_point_in_time.py")


def recipe(server: LocalServer, instant: str) -> list[str]:
    """The blocks of the recipe in their order, at our places and with our instant."""
    found = [each for each in blocks(PAGE.read_text()) if each.passed_over == MARK]
    assert [each.word for each in found] == ["ini", "sh", "ini", "sh"]
    (told,) = re.findall("^recovery_target_time = '(.*)'$", found[2].text, re.MULTILINE)
    places = {"/mnt/": f"{server.root}/", "base/2026-11-29": "base", told: instant}
    texts = [each.text for each in found]
    for theirs, ours in places.items():
        texts = [text.replace(theirs, ours) for text in texts]
    return texts


def settings(text: str) -> dict[str, str]:
    """Lines of postgresql.conf."""
    pairs = [line.partition(" = ")[::2] for line in text.splitlines()]
    return {name: value.strip("'") for name, value in pairs}


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
        archive, copy, _, _ = recipe(server, "")
        archiving = settings(archive)
        assert wal == server.root / "wal"
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
            program, *words = shlex.split(copy)
            ran = server.spawn(
                *(server.binaries / program, *words),
                *("--host", server.root, "--username", "postgres"),
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
            _, _, back, compare = recipe(server, instant)
            assert instant in back
            server.start(**archiving, **settings(back))
            with anyio.fail_after(30):
                while await ask(url, "SELECT pg_is_in_recovery()"):  # noqa: ASYNC110  another process
                    await anyio.sleep(0.05)
            mend, look = (shlex.split(line)[1:] for line in compare.splitlines())
            assert first.run(*mend).returncode == 1
            assert first.done(*look) == "clean\n"
            await first.check(contents | {"before the base": b"before"})
            async with first.opened() as runtime:
                with pytest.raises(AssertionError, match="after"):
                    await first.read("after", runtime)


class _Key:
    """The blob of an object."""

    def __init__(self, stored: Any) -> None:
        self.blob = (stored.content_hash, stored.storage_class)
