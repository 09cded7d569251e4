"""`juststorage doctor`: what it finds, what it says to do, and how it ends."""

from __future__ import annotations

import importlib
import json
import resource
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from click.testing import Result

from juststorage.ports import Space
from juststorage.runtime._checkup import check_known, check_limits, check_space
from juststorage.runtime._looks import Checked

Run = Callable[..., Result]

STORES = """
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
import anyio
from juststorage.errors import StorageFull, UnsupportedOperation
from juststorage.plugins import *
from juststorage.plugins.memory._blob_store import MemoryBlobStore
from juststorage.plugins.memory._metadata_store import MemoryMetadataStore

def store_with_clock(name, apart):
    class Store(MemoryMetadataStore):
        async def now(self):
            return datetime.now(UTC) + timedelta(seconds=apart)

    @asynccontextmanager
    async def opened(options, context):
        yield Store(context.clock)

    return MetadataStoreBackend(name=name, summary="s", options=NoOptions, open=opened)

class Tight(MemoryMetadataStore):
    async def answers(self):
        raise StorageFull("only deleting goes on")

@asynccontextmanager
async def tight(options, context):
    yield Tight(context.clock)

@asynccontextmanager
async def hanging(options, context):
    await anyio.sleep_forever()
    yield None

@asynccontextmanager
async def broken(options, context):
    raise ZeroDivisionError("a driver")
    yield None

class Full(MemoryBlobStore):
    async def ping(self):
        raise StorageFull("no room")

class Foreign(MemoryBlobStore):
    def __init__(self, clock):
        super().__init__(clock)
        self._placed |= {f"sha256:{number:064x}": b"theirs" for number in range(150)}

class Bucket(MemoryBlobStore):
    async def space(self):
        raise UnsupportedOperation("it has none")

def blobs(name, kind):
    @asynccontextmanager
    async def opened(options, context):
        context.background("sweep", anyio.sleep_forever)
        yield kind(context.clock)

    return BlobStoreBackend(name=name, summary="s", options=NoOptions, open=opened)

@hookimpl
def juststorage_metadata_stores():
    yield store_with_clock("exact", 0)
    yield store_with_clock("ahead", 5)
    yield store_with_clock("lost", -3600)
    yield MetadataStoreBackend(name="hanging", summary="s", options=NoOptions, open=hanging)
    yield MetadataStoreBackend(name="tight", summary="s", options=NoOptions, open=tight)
    yield MetadataStoreBackend(name="broken", summary="s", options=NoOptions, open=broken)

@hookimpl
def juststorage_blob_stores():
    yield blobs("full", Full)
    yield blobs("bucket", Bucket)
    yield blobs("foreign", Foreign)
"""


@pytest.fixture
def look(run: Run, site: Any) -> Callable[..., tuple[int, Mapping[str, Mapping[str, str]]]]:
    """Runs `doctor --json` on these backends: exit code, and the finding of each check."""
    site.add("acme-stores", {"acme": STORES})
    importlib.invalidate_caches()

    def looked(metadata: str = "memory", hot: str = "memory", **more: str) -> Any:
        result = run(
            "doctor",
            "--json",
            JUSTSTORAGE__METADATA__BACKEND=metadata,
            JUSTSTORAGE__BLOBS__HOT__BACKEND=hot,
            **{"JUSTSTORAGE__AUTH__CHAIN": "", **more},
        )
        return result.exit_code, {each["check"]: each for each in json.loads(result.stdout)}

    return looked


def test_a_file_that_is_not_there(run: Run) -> None:
    """A configuration that cannot be read is exit code 2, and a finding like any other."""
    result = run("doctor", "--config", "none.toml")
    assert result.exit_code == 2
    assert "failed   configuration  cannot read the configuration file 'none.toml'" in result.stdout
    assert "-> change the setting" in result.stdout


def test_wrong_settings_are_told_all_at_once(run: Run) -> None:
    """Each wrong setting is a finding."""
    result = run("doctor", "--json", JUSTSTORAGE__GC__GRACE_S="x", JUSTSTORAGE__LOG__LEVEL="loud")
    found = json.loads(result.stdout)
    assert result.exit_code == 2
    assert [each["check"] for each in found] == ["configuration", "configuration"]


def test_an_unknown_backend(look: Any) -> None:
    """A backend that no plugin offers is the configuration's fault, and nothing is opened."""
    code, found = look(metadata="memry")
    assert code == 2
    assert "memry" in found["configuration"]["found"]
    assert "blobs.hot" not in found


def test_no_store_yet(run: Run, site: Any) -> None:
    """Where there is no store yet, it says how to make one; it makes none itself."""
    del site
    result = run("doctor", "--json")
    found = {each["check"]: each for each in json.loads(result.stdout)}
    assert result.exit_code in {1, 2}  # 2 where the embedded backends are not installed
    assert {"data_dir", "configuration"} & {name for name in found if found[name]["to_do"]}


def test_a_database_that_hangs_hides_nothing(look: Any) -> None:
    """What does not answer is cut off in time, and the others are looked at all the same."""
    code, found = look(metadata="hanging")
    assert (code, found["metadata"]["state"]) == (1, "failed")
    assert found["metadata"]["found"].startswith("no answer within ")
    assert found["blobs.hot"]["state"] == "ok"


def test_a_backend_that_breaks_its_contract(look: Any) -> None:
    """What it raised is named, for the authors of the plugin."""
    code, found = look(metadata="broken")
    assert code == 1
    assert found["metadata"]["found"] == "could not be opened: ZeroDivisionError: a driver"
    assert "authors" in found["metadata"]["to_do"]


def test_a_full_volume(look: Any) -> None:
    """A volume without room to write is told as one, with what helps."""
    code, found = look(hot="full")
    assert code == 1
    assert "uploads are refused" in found["blobs.hot/space"]["found"]
    assert "juststorage gc run" in found["blobs.hot/space"]["to_do"]


def test_a_full_database(look: Any) -> None:
    """One that answers and takes nothing new is told as one, with what helps."""
    code, found = look(metadata="tight")
    assert (code, found["metadata"]["state"]) == (1, "ok")
    assert found["metadata/space"]["found"] == "only deleting goes on"
    assert "juststorage gc run" in found["metadata/space"]["to_do"]


def test_a_store_without_a_volume(look: Any) -> None:
    """Where there is no such thing as room, nothing is said of it."""
    code, found = look(hot="bucket")
    assert (code, found["blobs.hot"]["state"]) == (0, "ok")
    assert "blobs.hot/space" not in found


def test_a_store_of_another_database(look: Any) -> None:
    """What is stored and unknown to the database is a warning, before a collector meets it."""
    code, found = look(hot="foreign")
    assert (code, found["blobs.hot/known"]["state"]) == (0, "warning")
    assert found["blobs.hot/known"]["found"] == (
        "of the first 150 contents the database does not know 150"
    )
    assert "juststorage gc run --adopt-unknown" in found["blobs.hot/known"]["to_do"]


@pytest.mark.parametrize("metadata", ["hanging", "broken"])
def test_a_database_that_cannot_be_asked(look: Any, metadata: str) -> None:
    """That it cannot is one finding and not two."""
    _, found = look(metadata=metadata, hot="foreign")
    assert found["blobs.hot"]["state"] == "ok"
    assert "blobs.hot/known" not in found


@pytest.mark.parametrize(
    ("unknown", "looked_at", "states"),
    [
        (0, 0, []),
        (0, 3, ["ok"]),
        (1, 3, ["ok"]),
        (3, 3, ["warning"]),
        (100, 1000, ["ok"]),
        (101, 1000, ["warning"]),
    ],
)
def test_what_the_database_knows(unknown: int, looked_at: int, states: list[str]) -> None:
    """What a collector would leave alone, and a store of which nothing is known, however small."""
    found = list(check_known("blobs.hot", unknown, looked_at, 100))
    assert [each.state for each in found] == states


@pytest.mark.parametrize(
    ("metadata", "state", "words"),
    [
        ("exact", "ok", "0.00"),
        ("ahead", "warning", "ahead of that of this host"),
        ("lost", "failed", "behind that of this host"),
    ],
)
def test_clocks_that_are_apart(look: Any, metadata: str, state: str, words: str) -> None:
    """More than a second is a warning, more than a minute a failure; both say what to do."""
    code, found = look(metadata=metadata)
    assert (code, found["clock"]["state"]) == (int(state == "failed"), state)
    assert words in found["clock"]["found"]
    assert (found["clock"]["to_do"] is None) == (state == "ok")


def test_all_is_well(run: Run, file: str) -> None:
    """Every part has its line, no advice is given, and the exit code is 0."""
    result = run("doctor", "--config", file)
    assert result.exit_code == 0, result.output
    assert "ok       metadata" in result.stdout
    assert "0 failed" in result.stdout


def test_an_unusable_plugin_is_a_warning(look: Any, site: Any) -> None:
    """A plugin that nobody selected and that does not load keeps nothing from working."""
    site.add("acme-bad", {"bad": "raise RuntimeError('no driver')"})
    importlib.invalidate_caches()
    code, found = look()
    assert (code, found["plugins"]["state"]) == (0, "warning")
    assert "no driver" in found["plugins"]["found"]


def test_an_authenticator_that_does_not_open(look: Any, site: Any) -> None:
    """The chain is looked at too, each by its name."""
    site.add(
        "acme-auth",
        {
            "gate": STORES.partition("def store_with_clock")[0] + "@asynccontextmanager\n"
            "async def opened(options, context):\n"
            "    assert context.metadata is not None\n"
            "    raise StorageFull('no keys')\n"
            "    yield\n"
            "@hookimpl\n"
            "def juststorage_authenticators():\n"
            "    yield AuthenticatorBackend(name='gate', summary='s', options=NoOptions,"
            " open=opened)\n"
        },
    )
    importlib.invalidate_caches()
    code, found = look(JUSTSTORAGE__AUTH__CHAIN="gate")
    assert (code, found["auth.gate"]["found"]) == (1, "no keys")


@pytest.mark.parametrize(
    ("free", "state"), [(0, "failed"), (49, "warning"), (50, "ok"), (1000, "ok")]
)
def test_room(free: int, state: str) -> None:
    """Under 5% free is a warning; nothing is a failure."""
    assert check_space("blobs.hot", Space(total_bytes=1000, free_bytes=free)).state == state


def limits_of(files: int, size: int) -> list[Checked]:
    """What is said of these limits."""
    hard = {resource.RLIMIT_NOFILE: files, resource.RLIMIT_FSIZE: size}
    return list(check_limits(lambda which: (64, hard[which])))


def test_limits_of_the_system() -> None:
    """The hard limits count, because the service raises the soft ones itself."""
    free = resource.RLIM_INFINITY
    (files,) = limits_of(free, free)
    assert (files.state, files.found) == ("ok", "any number at once")
    few, size = limits_of(1024, 2**20)
    assert (few.state, size.state) == ("warning", "warning")
    assert "384 connections" in few.found
    assert "LimitNOFILE" in str(few.to_do) and "LimitFSIZE" in str(size.to_do)
