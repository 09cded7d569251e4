"""The soak: see README.md beside this file.

Usage: python -m tests.torture.soak [--seconds N] [--seed N] [--clients N] [--contents N]
    [--metadata sqlite|postgres]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.torture.clients import Broken, Client, contents
from tests.torture.processes import COMMAND, Fleet

__all__ = ["main", "soak"]

API_KEY = "a-key-for-this-experiment-alone"

SQLITE = """\
[metadata]
backend = "sqlite"
"""

POSTGRES = """\
[metadata]
backend = "postgres"
postgres = {{ url = "{url}", pool_size = 8 }}
"""

CONFIG = """\
data_dir = "{folder}/data"

[blobs.hot]
backend = "localfs"
localfs = {{ root = "{folder}/hot", create_root = true }}

[auth.api_key]
bootstrap_key = "{key}"

[uploads]
lease_s = 10

[gc]
interval_s = 0.05
grace_s = 0
trash_retention_s = 2
staging_grace_s = 2
tombstone_retention_s = 1

[log]
level = "warning"

{metadata}
"""


def soak(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    clients: int = 32,
    distinct: int = 12,
    pause_s: float = 1.0,
    metadata: str = SQLITE,
) -> Counter[str]:
    """Run it; the counts of what happened.

    Raises:
        Broken: A promise was broken. The text says which.
    """
    chance = random.Random(seed)
    (folder / "data").mkdir()
    config = folder / "juststorage.toml"
    config.write_text(CONFIG.format(folder=folder, key=API_KEY, metadata=metadata))
    with Fleet(folder, config, servers=2, collectors=2) as fleet:
        crowd = _attack(
            fleet, chance, seconds=seconds, clients=clients, distinct=distinct, pause_s=pause_s
        )
    _audit(config)
    total: Counter[str] = Counter()
    for client in crowd:
        total += client.counts
    total["kills"] = fleet.kills
    total["audited objects"] = sum(len(client.journal) for client in crowd)
    return total


def _attack(
    fleet: Fleet,
    chance: random.Random,
    *,
    seconds: float,
    clients: int,
    distinct: int,
    pause_s: float,
) -> list[Client]:
    fleet.start()
    ports = [server.port for server in fleet.servers if server.port is not None]
    pool = contents(chance, distinct)
    crowd = [
        Client(f"c{n}", ports, API_KEY, pool, random.Random(chance.random()))
        for n in range(clients)
    ]
    over = threading.Event()
    threads = [threading.Thread(target=client.run, args=(over,)) for client in crowd]
    fleet.start_killing(random.Random(chance.random()), pause_s)
    for thread in threads:
        thread.start()
    _watch(crowd, fleet, seconds)
    over.set()
    for thread in threads:
        thread.join()
    fleet.stop_killing()
    for server in fleet.servers:
        server.wait_until_ready()
    _raise_problems(crowd, fleet)
    for client in crowd:
        client.check_all()
    fleet.stop()
    return crowd


def _watch(crowd: list[Client], fleet: Fleet, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if fleet.problem or any(client.problem for client in crowd):
            return
        time.sleep(0.1)


def _raise_problems(crowd: list[Client], fleet: Fleet) -> None:
    for problem in [fleet.problem, *(client.problem for client in crowd)]:
        if problem is not None:
            raise problem


def _audit(config: Path) -> None:
    """After the leases and one collection nothing may be wrong, and nothing left over."""
    time.sleep(11)  # the longest lease of an upload whose process was killed
    for _ in range(2):  # what the first one adopts and reaps is the second one's garbage
        done = _command("gc", "run", "--grace-s", "0", "--json", "--config", str(config))
        if json.loads(done.stdout)["errors"]:
            raise Broken(f"the last collection had errors: {done.stdout}{done.stderr}")
    found = _command("fsck", "--deep", "--config", str(config))
    if found.returncode != 0:
        raise Broken(f"the audit found: {found.stdout}{found.stderr}")


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, check=False)


@contextmanager
def _metadata(name: str) -> Iterator[str]:
    """The section of the configuration, and the database that it names."""
    if name == "sqlite":
        yield SQLITE
        return
    from juststorage_postgres.testing import made_database, migrate, running_server, source

    print(f"postgresql: {source()}")
    with running_server() as server, made_database(server) as url:
        migrate(url)
        yield POSTGRES.format(url=url)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="scripts/torture soak")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--contents", type=int, default=12)
    parser.add_argument("--metadata", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--keep", type=Path, help="a folder to work in, which is kept")
    given = parser.parse_args()
    again = (
        f"scripts/torture soak --seed {given.seed} --seconds {given.seconds:g}"
        f" --clients {given.clients} --contents {given.contents} --metadata {given.metadata}"
    )
    print(f"repeat with: {again}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="juststorage-soak-") as temporary,
        _metadata(given.metadata) as metadata,
    ):
        folder = given.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        try:
            counts = soak(
                folder,
                seconds=given.seconds,
                seed=given.seed,
                clients=given.clients,
                distinct=given.contents,
                metadata=metadata,
            )
        except AssertionError as broken:
            sys.exit(f"BROKEN: {broken}\nrepeat with: {again}")
    for name, count in sorted(counts.items()):
        print(f"{count:>9,} {name}")


if __name__ == "__main__":
    main()
