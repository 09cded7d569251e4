"""The guards of the storage protocol, how each is taken away, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MUTATIONS", "Mutation"]

_CORE = "juststorage-core/src/juststorage/usecases"
_SQLITE = "juststorage-sqlite/src/juststorage_sqlite"
_POSTGRES = "juststorage-postgres/src/juststorage_postgres"
_FILES = "juststorage-localfs/src/juststorage_localfs"

COLLECTING, UPLOADING = "test_collecting.py", "test_uploading.py"
LOST_LEASES = "test_lost_leases.py"
DURABILITY, OBJECT_STORE = "test_durability.py", "test_object_store.py"
INTERFACE = "test_interface.py"


@dataclass(frozen=True)
class Mutation:
    """One guard less.

    Args:
        guard: What is taken away.
        path: The file, below `packages`.
        old: Text that is there exactly once.
        new: What comes in its place.
        tests: A file of tests, and an expression for `-k`; at least one of them has to fail.
    """

    guard: str
    path: str
    old: str
    new: str
    tests: tuple[str, str]


_REMOVE_IN_ONE = """\
        async with self._writer.session() as session:
            locked = await session.run(lambda db, now: _garbage.lock_for_removal(db, now, claimed))
            moved: set[BlobKey] = set()
"""
_REMOVE_IN_TWO = """\
        async with self._writer.session() as session:
            locked = await session.run(lambda db, now: _garbage.lock_for_removal(db, now, claimed))
        moved: set[BlobKey] = set()
        if locked.going:
            moved = {blob.key for blob in locked.going} & set(await move(locked.going))
            locked = _garbage.Locked([], locked.taken_back)
        async with self._writer.session() as session:
"""
_RESERVE_PLACE = """\
                    reserved = await self._objects.reserve(lease, content)
                    locator = reserved.locator
                    if locator is None:
                        async with self._steps.lost_lease_first(lease):
                            locator = await store.place(staged, content.content_hash)
"""
_PLACE_RESERVE = """\
                    locator = await store.place(staged, content.content_hash)
                    reserved = await self._objects.reserve(lease, content)
                    locator = reserved.locator or locator
"""

MUTATIONS = [
    # -- the collector ------------------------------------------------------------------------
    Mutation(
        "look again under the lock (sqlite)",
        f"{_SQLITE}/_garbage.py",
        "if blob.ref_count == 0 and holders == 0 and blob.claimed_until is not None:",
        "if True:",
        (COLLECTING, "r01 and sqlite"),
    ),
    Mutation(
        "NOT EXISTS re-check (sqlite)",
        f"{_SQLITE}/_garbage.py",
        "blob.ref_count == 0 and holders == 0 and",
        "blob.ref_count == 0 and",
        (COLLECTING, "r04 and sqlite"),
    ),
    Mutation(
        "NOT EXISTS re-check (postgres)",
        f"{_POSTGRES}/_blobs.py",
        "and blob.ref_count == 0 and not held[blob.key]",
        "and blob.ref_count == 0",
        (COLLECTING, "r04 and postgres"),
    ),
    Mutation(
        "files move under the lock (sqlite)",
        f"{_SQLITE}/_blobs.py",
        _REMOVE_IN_ONE,
        _REMOVE_IN_TWO,
        (COLLECTING, "r02 and sqlite"),
    ),
    Mutation(
        "row lock (postgres)",
        f"{_POSTGRES}/_work.py",
        "b.storage_class = k.storage_class FOR UPDATE\n",
        "b.storage_class = k.storage_class\n",
        (COLLECTING, "r02 and postgres"),
    ),
    Mutation(
        "row lock (memory)",
        "juststorage-core/src/juststorage/plugins/memory/_rows.py",
        "        self._locks.update(dict.fromkeys(keys, released))\n",
        "        keys = []\n",
        (COLLECTING, "r02 and memory"),
    ),
    Mutation(
        "a claim withdraws stored_at (sqlite)",
        f"{_SQLITE}/_garbage.py",
        "UPDATE blobs SET stored_at = NULL, claimed_until = ?2",
        "UPDATE blobs SET claimed_until = ?2",
        (COLLECTING, "r01 and sqlite"),
    ),
    Mutation(
        "a reservation believes stored_at only (sqlite)",
        f"{_SQLITE}/_moves.py",
        "return None if stored_at is None else locator",
        "return locator",
        (COLLECTING, "r01 and sqlite"),
    ),
    Mutation(
        "the same, at an object store (sqlite)",
        f"{_SQLITE}/_moves.py",
        "return None if stored_at is None else locator",
        "return locator",
        (OBJECT_STORE, "r18 and sqlite and frozen"),
    ),
    Mutation(
        "foreign key (sqlite)",
        f"{_SQLITE}/schema.sql",
        "\tCONSTRAINT fk_objects_blob FOREIGN KEY(blob_hash, storage_class)"
        " REFERENCES blobs (content_hash, storage_class) ON DELETE RESTRICT,\n",
        "",
        (COLLECTING, "r04 and sqlite and refuses"),
    ),
    Mutation(
        "foreign key (postgres)",
        f"{_POSTGRES}/_migrations/versions/0001_first.py",
        "        CONSTRAINT objects_blobs_fkey FOREIGN KEY (blob_hash, storage_class)\n"
        "            REFERENCES blobs (content_hash, storage_class) ON DELETE RESTRICT,\n",
        "",
        (COLLECTING, "r04 and postgres and refuses"),
    ),
    Mutation(
        "what was moved goes back",
        f"{_CORE}/_remove_garbage.py",
        "                await store.restore(place)\n",
        "                continue\n",
        (COLLECTING, "r19 and sqlite and moves"),
    ),
    Mutation(
        "what a claim distrusted for nothing is trusted again",
        f"{_CORE}/_remove_garbage.py",
        "                await self._rows.confirm(blob, blob.locator)\n",
        "                continue\n",
        (COLLECTING, "r04 and sqlite and drifted"),
    ),
    Mutation(
        "the purge looks for a row",
        f"{_CORE}/_purge_trash.py",
        "        if row is None:\n",
        "        if row is not None:\n",
        (COLLECTING, "r19 and sqlite and purge"),
    ),
    Mutation(
        "the purge spares what has a reference",
        f"{_CORE}/_purge_trash.py",
        "            return row.ref_count > 0\n",
        "            return False\n",
        (COLLECTING, "r19 and sqlite and spares"),
    ),
    Mutation(
        "the sweeper asks who is alive",
        f"{_CORE}/_sweep.py",
        "[entry for entry in batch if entry.upload_id not in alive]",
        "batch",
        (UPLOADING, "r12 and sqlite"),
    ),
    Mutation(
        "generations of live uploads stay",
        f"{_CORE}/_unknown.py",
        "for locator, upload_id in generations.items() if upload_id in alive",
        "for locator in ()",
        (OBJECT_STORE, "r18 and sqlite and two_uploads"),
    ),
    # -- uploads ------------------------------------------------------------------------------
    Mutation(
        "reserve before placing",
        f"{_CORE}/_upload.py",
        _RESERVE_PLACE,
        _PLACE_RESERVE,
        (COLLECTING, "r01 and sqlite and reserved"),
    ),
    Mutation(
        "status and epoch of the lease (sqlite)",
        f"{_SQLITE}/_uploads.py",
        """    " WHERE id = ? AND status = 'WRITING' AND lease_epoch = ?"\n""",
        """    " WHERE id = ? AND ? IS NOT NULL"\n""",
        (LOST_LEASES, "r11 and sqlite and late_commit"),
    ),
    Mutation(
        "epoch of the lease (sqlite)",
        f"{_SQLITE}/_uploads.py",
        """    " WHERE id = ? AND status = 'WRITING' AND lease_epoch = ?"\n""",
        """    " WHERE id = ? AND status = 'WRITING' AND ? IS NOT NULL"\n""",
        (LOST_LEASES, "r11 and sqlite and epoch"),
    ),
    Mutation(
        "epoch of the lease (postgres)",
        f"{_POSTGRES}/_statements.py",
        "o.status = 'WRITING' AND o.lease_epoch = i.epoch THEN",
        "o.status = 'WRITING' THEN",
        (LOST_LEASES, "r11 and postgres and epoch and commit"),
    ),
    Mutation(
        "conditions count in the commit (sqlite)",
        f"{_SQLITE}/_uploads.py",
        "        check_conditions(lease.intent.conditions, None if holder is None else"
        " holder.current)\n        replaced",
        "        replaced",
        (UPLOADING, "r07 and sqlite and conditions"),
    ),
    Mutation(
        "look before answering",
        f"{_CORE}/_upload_steps.py",
        "            return await self.look_up(lease.intent)\n",
        "            raise\n",
        (LOST_LEASES, "r17 and sqlite and happened_is"),
    ),
    Mutation(
        "the commit section is shielded",
        f"{_CORE}/_upload.py",
        "                with anyio.CancelScope(shield=True):\n                    reserved",
        "                with anyio.CancelScope():\n                    reserved",
        (INTERFACE, "r20 and sqlite and cut_off"),
    ),
    # -- the disk -----------------------------------------------------------------------------
    Mutation(
        "fsync of the file",
        f"{_FILES}/_volume.py",
        "            self.ops.fsync(fd)\n",
        "            pass\n",
        (DURABILITY, "r14 and sqlite"),
    ),
    Mutation(
        "fsync of the directory",
        f"{_FILES}/_volume.py",
        "            self.ops.fsync_directory(directory, dir_fd=self.root_fd)\n",
        "",
        (DURABILITY, "r14 and sqlite"),
    ),
    Mutation(
        "fsync of a new directory's parent",
        f"{_FILES}/_shards.py",
        "        self._ops.fsync_directory(parent, dir_fd=self._root_fd)\n",
        "",
        (DURABILITY, "r14 and sqlite"),
    ),
    Mutation(
        "staging on the same filesystem",
        f"{_FILES}/_opening.py",
        "follow=True).st_dev != device:",
        "follow=True).st_dev < 0:",
        (DURABILITY, "r16 and sqlite"),
    ),
    # -- the interface ------------------------------------------------------------------------
    Mutation(
        "an answer's age counts from the question",
        "juststorage-api/src/juststorage_api/_auth/_api_key.py",
        "        known = _Known(api_key, stale_at)\n",
        "        known = _Known(api_key, self._clock.monotonic() + self._ttl_s)\n",
        (INTERFACE, "r21 and sqlite and question"),
    ),
]
