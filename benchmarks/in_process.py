"""What a service inside a test costs: opened in memory and closed again (goal: 50 ms).

python -m benchmarks.in_process [--runs 20]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from statistics import median

from juststorage_api.testing import open_in_process


async def _measure(runs: int) -> None:
    async with open_in_process():
        pass  # imports
    opened, used = [], []
    for _ in range(runs):
        begun = time.perf_counter()
        async with open_in_process() as service, service.client() as client:
            opened.append(time.perf_counter() - begun)
            await client.put("/v1/objects/by-key/docs/acme/a", content=b"hello")
            await client.get("/v1/objects/by-key/docs/acme/a")
        used.append(time.perf_counter() - begun)
    for name, taken in (("opened", opened), ("opened, used and closed", used)):
        low, high = min(taken) * 1e3, max(taken) * 1e3
        print(f"{name:24} {median(taken) * 1e3:6.1f} ms ({low:.1f} .. {high:.1f})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    asyncio.run(_measure(parser.parse_args().runs))


if __name__ == "__main__":
    main()
