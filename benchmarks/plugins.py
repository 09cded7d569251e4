"""What being pluggable costs: discovery of many plugins, and the guard around each call of one.

    python -m benchmarks.plugins [--plugins 50] [--calls 20000]

Goals: 50 installed plugins cost 50 ms of start-up, a guard 5 us a call.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from juststorage.domain import ContentHash, StorageClass
from juststorage.runtime import PluginHost, open_runtime, unwrap

_ROUNDS = 7

_MODULE = '''\
"""A plugin that offers one hasher, and imports nothing heavy."""

from juststorage.plugins import HasherBackend, NoOptions, hookimpl


def _open(options, context):
    raise NotImplementedError


@hookimpl
def juststorage_hashers():
    return [HasherBackend(name="many{number}", summary="", options=NoOptions, open=_open)]
'''


def _install(folder: Path, count: int) -> None:
    """Distributions as an installer leaves them."""
    for number in range(count):
        (folder / f"many_{number}.py").write_text(_MODULE.format(number=number))
        info = folder / f"many_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: many-{number}\nVersion: 1.0\n"
            "Requires-Dist: juststorage-core>=0.1,<0.2\n"
        )
        (info / "entry_points.txt").write_text(
            f"[juststorage.plugins]\nmany{number} = many_{number}\n"
        )
        (info / "RECORD").write_text("")


def _load_ms(search_path: list[str] | None) -> tuple[float, int]:
    begun = time.perf_counter()
    host = PluginHost(search_path=search_path).load()
    return (time.perf_counter() - begun) * 1e3, len(host.records)


def _discovery(count: int) -> None:
    _load_ms(None)  # imports of our own
    few = [_load_ms(None)[0] for _ in range(_ROUNDS)]
    with tempfile.TemporaryDirectory() as folder:
        _install(Path(folder), count)
        sys.path.insert(0, folder)
        first, found = _load_ms(None)
        again = [_load_ms(None)[0] for _ in range(_ROUNDS)]
        sys.path.remove(folder)
    print(
        f"{found} plugins instead of {found - count}: {first - median(few):.1f} ms more at first,"
        f" imports included; {median(again) - median(few):.1f} ms once imported"
        f" (without them: {median(few):.1f} ms)"
    )


async def _guard(calls: int) -> None:
    config = {
        "metadata": {"backend": "memory"},
        "blobs": {"hot": {"backend": "memory"}},
        "auth": {"chain": []},
    }
    async with open_runtime(config, discover=False) as runtime:
        guarded = runtime.blobs[StorageClass.HOT]
        bare = unwrap(guarded)
        name = ContentHash("sha256:" + "0" * 64)
        taken: dict[str, list[float]] = {}
        for _ in range(_ROUNDS):
            for what, store in (("guarded", guarded), ("bare", bare)):
                begun = time.perf_counter()
                for _ in range(calls):
                    store.locator_of(name)
                middle = time.perf_counter()
                for _ in range(calls):
                    await store.ping()
                ended = time.perf_counter()
                taken.setdefault(f"{what} call", []).append((middle - begun) / calls * 1e6)
                taken.setdefault(f"{what} await", []).append((ended - middle) / calls * 1e6)
    for how in ("call", "await"):
        guarded_us, bare_us = median(taken[f"guarded {how}"]), median(taken[f"bare {how}"])
        print(f"guard of one {how}: {guarded_us - bare_us:.2f} us ({bare_us:.2f} us without)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plugins", type=int, default=50)
    parser.add_argument("--calls", type=int, default=20_000)
    arguments = parser.parse_args()
    _discovery(arguments.plugins)
    asyncio.run(_guard(arguments.calls))


if __name__ == "__main__":
    main()
