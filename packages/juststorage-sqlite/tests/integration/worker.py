"""A process that uses the store until it is told to stop, or is killed.

    python worker.py <path> <name> <operations>

Prints one JSON line for each acknowledged operation, written after it returned. With 0 operations
it goes on for ever.
"""

from __future__ import annotations

import json
import os
import random
import sys
from itertools import count
from pathlib import Path

import anyio

from juststorage.domain import ObjectId, TenantId
from juststorage.errors import KeyConflict, NotFound, UploadExpired
from juststorage.ports import MetadataStore
from juststorage.testing import make_content, make_intent, open_backend, store_object
from juststorage_sqlite.plugin import SQLITE, SqliteOptions

CLIENTS = 8
CONTENTS = 20


def acknowledge(**what: object) -> None:
    """One line, in one write: a kill cannot cut it in two."""
    os.write(1, json.dumps(what).encode() + b"\n")


async def client(store: MetadataStore, seed: str, operations: int) -> None:
    """Upload, replace and delete, with contents that others use too."""
    choose = random.Random(seed)
    mine: list[tuple[TenantId, ObjectId]] = []
    for number in range(operations) if operations else count():
        kind = choose.random()
        content = make_content(str(choose.randrange(CONTENTS)))
        try:
            if kind < 0.4:
                done = (await store_object(store, make_intent(), content)).object
                mine.append((done.tenant_id, done.id))
                acknowledge(stored=done.id)
            elif kind < 0.7:
                intent = make_intent(f"k{choose.randrange(5)}", replace=True)
                committed = await store_object(store, intent, content)
                acknowledge(put=committed.object.id, replaced=committed.replaced)
            elif mine:
                tenant_id, object_id = mine.pop(choose.randrange(len(mine)))
                await store.objects.delete(tenant_id, object_id)
                acknowledge(deleted=object_id)
        except (KeyConflict, NotFound, UploadExpired) as error:
            acknowledge(refused=type(error).__name__, number=number)


async def main(path: Path, name: str, operations: int) -> None:
    """Open the store and run the clients."""
    async with open_backend(SQLITE, SqliteOptions(path=str(path), busy_timeout_s=60)) as store:
        acknowledge(ready=name)
        async with anyio.create_task_group() as tasks:
            for number in range(CLIENTS):
                tasks.start_soon(client, store, f"{name} {number}", operations)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
