"""`juststorage gc worker` as a process: what it tells, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner

from juststorage.cli._main import juststorage
from juststorage.domain import (
    Namespace,
    NewObject,
    ObjectId,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.ports import UploadIntent
from juststorage.runtime import Runtime, UseCases, make_auditor, open_runtime

TENANT, NAMESPACE = TenantId("t"), Namespace("n")
STOPPED_S = 60.0
"""In which a collector ends after SIGTERM: a fraction of a second on a quiet machine, and long
where everybody else goes first, as its niceness has it."""

_MAIN = "from juststorage.cli import main; main()"
NO_REST = {"grace_s": 0, "trash_retention_s": 0, "interval_s": 0.1}


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configured(data: Path) -> dict[str, object]:
    """A store on files."""
    return {
        "data_dir": str(data),
        "metadata": {"backend": "sqlite"},
        "blobs": {"hot": {"backend": "localfs"}},
        "auth": {"chain": []},
    }


async def stored(runtime: Runtime, content: bytes) -> StoredObject:
    """An object with this content."""
    cases = await UseCases.of(runtime)
    new = NewObject(id=ObjectId.new(), namespace=NAMESPACE, tenant_id=TENANT)
    return (await cases.upload.whole(UploadIntent(new=new), content)).object


async def made(data: Path) -> None:
    """A store with nothing in it."""
    async with open_runtime(configured(data)):
        pass


async def fill(runtime: Runtime, garbage: int, *, kept: int) -> list[StoredObject]:
    """Store contents of 10 bytes, and delete all objects but the last ones, which are returned."""
    made = [await stored(runtime, b"%010d" % number) for number in range(garbage + kept)]
    for each in made[:garbage]:
        await runtime.metadata.objects.delete(TENANT, each.id)
    return made[garbage:]


async def left(runtime: Runtime) -> int:
    """How many blobs are in their places."""
    return len(await runtime.blobs[StorageClass.HOT].scan(after=None, limit=10_000))


async def fall_to(runtime: Runtime, count: int) -> None:
    """Wait until no more blobs than this are left."""
    while True:
        if await left(runtime) <= count:
            return
        await anyio.sleep(0.001)


@contextmanager
def worker(data: Path, metadata: str = "sqlite", **gc: float) -> Iterator[subprocess.Popen[bytes]]:
    """A collector on this store, in a process of its own."""
    env = {"JUSTSTORAGE__" + f"gc__{name}".upper(): str(value) for name, value in gc.items()}
    env |= {
        "JUSTSTORAGE__METADATA__BACKEND": metadata,
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, "gc", "worker", "--data-dir", str(data)],
        stderr=subprocess.PIPE,
        env=os.environ | env,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, Mapping[str, str]]:
    """Status, body and fields; waits until somebody listens."""
    until = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.02)
        finally:
            connection.close()


def counted(port: int, name: str) -> float:
    """A series without labels, or the sum of those with; -1 where it is not told."""
    status, text, _ = ask(port, "/metrics")
    if status != 200:
        return -1
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found)) if found else -1


def wait_for(port: int, name: str, at_least: float) -> None:
    """Until this much is counted."""
    until = time.monotonic() + 30
    while counted(port, name) < at_least:
        assert time.monotonic() < until, f"{name} did not come to {at_least}"
        time.sleep(0.05)


async def test_it_hears_signals_whatever_it_was_started_with(tmp_path: Path) -> None:
    """Who starts it may have them blocked, as supervisors do, and a mask outlives fork and exec."""
    await made(tmp_path)
    port = free_port()
    with ExitStack() as stack:
        former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        try:
            process = stack.enter_context(worker(tmp_path, metrics_port=port))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
        assert ask(port, "/health")[0] == 200
        process.terminate()
        assert process.wait(STOPPED_S) == 0


async def test_a_scrape_tells_what_was_collected(tmp_path: Path) -> None:
    """Exactly, however many runs follow; nothing that the servers tell, which would count twice."""
    async with open_runtime(configured(tmp_path)) as runtime:
        await fill(runtime, 40, kept=5)
    port = free_port()
    with worker(tmp_path, **NO_REST, metrics_port=port) as process:
        assert ask(port, "/health")[:2] == (200, "ok\n")
        wait_for(port, "juststorage_gc_removed_blobs_total", 1)
        # Clients that connect and say nothing are in nobody's way.
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        runs = counted(port, "juststorage_gc_runs_total")
        wait_for(port, "juststorage_gc_runs_total", runs + 3)
        for name, count in (
            ("gc_claimed_blobs", 40),
            ("gc_removed_blobs", 40),
            ("gc_removed_bytes", 400),
            ("gc_errors", 0),
        ):
            assert counted(port, f"juststorage_{name}_total") == count
        assert counted(port, "juststorage_gc_last_run_time_seconds") > 0
        assert counted(port, "juststorage_build_info") == 1
        for servers in ("objects", "physical_bytes", "workers"):
            assert counted(port, f"juststorage_{servers}") == -1
        status, _, fields = ask(port, "/metrics")
        assert (status, fields["Content-Type"][:25]) == (200, "text/plain; version=0.0.4")
        assert [ask(port, path)[0] for path in ("/", "/v1/objects", "/metrics/")] == [404] * 3
        assert ask(port, "/metrics", "POST")[0] == 404
        assert ask(port, "/metrics", "HEAD")[:2] == (200, "")
        for each in silent:
            each.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOPPED_S) == 0


def test_it_gives_way_to_those_who_serve(tmp_path: Path) -> None:
    """A process of its own is nice; a caller's own process is left as it is."""
    anyio.run(made, tmp_path)
    port = free_port()
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with worker(tmp_path, metrics_port=port) as process:
        assert ask(port, "/health")[0] == 200
        threads = [int(each.name) for each in Path(f"/proc/{process.pid}/task").iterdir()]
        assert {os.getpriority(os.PRIO_PROCESS, each) for each in threads} == {max(before, 10)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUSTSTORAGE__METADATA__BACKEND", "sqlite")
        patch.setenv("JUSTSTORAGE__BLOBS__HOT__BACKEND", "localfs")
        done = CliRunner().invoke(juststorage, ["gc", "run", "--data-dir", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


async def test_metrics_that_ask_for_a_key_are_not_told(tmp_path: Path) -> None:
    """The collector cannot ask for one; that it lives is no secret."""
    async with open_runtime(configured(tmp_path)):
        pass
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUSTSTORAGE__METRICS__REQUIRE_AUTH", "true")
        with worker(tmp_path, metrics_port=port) as process:
            assert process.stderr is not None
            assert b"it tells no metrics" in process.stderr.readline()
            assert [ask(port, path)[0] for path in ("/health", "/metrics")] == [200, 404]


def test_a_signal_ends_the_wait_for_a_database(tmp_path: Path) -> None:
    """With exit code 0; while it waits, it lives, and has nothing to tell."""
    port = free_port()
    with socket.socket() as nobody, pytest.MonkeyPatch.context() as patch:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        patch.setenv(
            "JUSTSTORAGE__METADATA__POSTGRES__URL",
            f"postgresql://u:p@127.0.0.1:{nobody.getsockname()[1]}/d",
        )
        patch.setenv("JUSTSTORAGE__METADATA__POSTGRES__CONNECT_WAIT_S", "60")
        with worker(tmp_path, metadata="postgres", metrics_port=port) as process:
            assert process.stderr is not None
            assert b"does not answer" in process.stderr.readline()
            assert [ask(port, path)[0] for path in ("/health", "/metrics")] == [200, 404]
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOPPED_S) == 0


async def test_read_only_mode_that_is_configured_holds_for_it(tmp_path: Path) -> None:
    """It looks after nothing meanwhile, and tells that it does not."""
    async with open_runtime(configured(tmp_path)) as runtime:
        await fill(runtime, 3, kept=0)
        port = free_port()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JUSTSTORAGE__SERVER__READ_ONLY", "true")
            with worker(tmp_path, **NO_REST, metrics_port=port):
                wait_for(port, "juststorage_read_only", 1)
                await anyio.sleep(0.5)  # several intervals
                assert counted(port, "juststorage_gc_runs_total") == 0
        assert await left(runtime) == 3


async def test_a_port_in_use(tmp_path: Path) -> None:
    """One sentence with the option and the port, exit code 2, and nothing is collected."""
    async with open_runtime(configured(tmp_path)) as runtime:
        await fill(runtime, 3, kept=0)
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with worker(tmp_path, **NO_REST, metrics_port=port) as process:
                _, said = process.communicate(timeout=30)
        [line] = [json.loads(each) for each in said.decode().splitlines()]
        assert (process.returncode, line["message"]) == (
            2,
            f"gc.metrics_port: cannot listen on 127.0.0.1 port {port}: Address already in use",
        )
        assert await left(runtime) == 3


@pytest.mark.parametrize(
    "limits",
    [{"batch_size": 16, "rate_max_blobs_s": 300}, {"batch_size": 1000}],
    ids=["between batches", "within one"],
)
async def test_a_signal_ends_a_run_that_goes_on(tmp_path: Path, limits: dict[str, float]) -> None:
    """With exit code 0 and the batch in hand; nothing is lost, and the next one goes on.

    What it had claimed and not removed is left to others as soon as its claim has passed.
    """
    limits = NO_REST | limits | {"claim_s": 1}
    async with open_runtime(configured(tmp_path)) as runtime:
        cases = await UseCases.of(runtime)
        kept = await fill(runtime, 150, kept=10)
        before = await left(runtime)
        with worker(tmp_path, **limits) as process:
            # A batch that is broken off is put back: where there are several, one has to be over.
            begun = limits["batch_size"] + 1 if "rate_max_blobs_s" in limits else 1
            with anyio.fail_after(30):
                await fall_to(runtime, before - int(begun))
            process.send_signal(signal.SIGTERM)
            assert await anyio.to_thread.run_sync(process.wait, STOPPED_S) == 0
        if "rate_max_blobs_s" in limits:
            assert len(kept) < await left(runtime) < before, "all was done before it ended"
        with worker(tmp_path, **limits), anyio.fail_after(30):
            await fall_to(runtime, len(kept))
        for number, each in enumerate(kept, start=150):
            async with await cases.download.open(each) as reader:
                got = [part async for part in reader.chunks(0, reader.size_bytes)]
            assert b"".join(got) == b"%010d" % number
        assert [each async for each in make_auditor(runtime, deep=True).findings()] == []
