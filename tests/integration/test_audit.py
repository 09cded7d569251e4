"""The auditor on real parts: SQLite and files, damaged by hand in every way it claims to see."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from juststorage.domain import (
    BlobKey,
    Namespace,
    NewObject,
    ObjectId,
    ObjectKey,
    StorageClass,
    TenantId,
)
from juststorage.errors import Misconfigured
from juststorage.ports import Content, UploadIntent
from juststorage.runtime import Runtime, open_runtime
from juststorage.usecases import (
    AuditLimits,
    AuditStore,
    Finding,
    UploadLimits,
    UploadObject,
)

CONTENT = b"the bytes of an object"
LIMITS = UploadLimits(bytes_max=10**9, lease_s=600, idle_s=30, rate_min_bytes_s=0)


@dataclass
class Store:
    """An open service, its database and its files."""

    runtime: Runtime
    root: Path

    @property
    def file(self) -> Path:
        """The final file of CONTENT in the hot class."""
        digest = hashlib.sha256(CONTENT).hexdigest()
        return self.root / "hot" / digest[:2] / digest[2:4] / digest

    def sql(self, statement: str) -> None:
        """Change the database as a careless person would: no foreign keys, no checks."""
        with closing(sqlite3.connect(self.root / "metadata.sqlite3")) as db, db:
            db.execute("PRAGMA foreign_keys = OFF")
            db.execute("PRAGMA ignore_check_constraints = ON")
            for part in statement.split(";"):
                db.execute(part)

    def intent(self, key: str | None = None) -> UploadIntent:
        new = NewObject(
            id=ObjectId.new(),
            namespace=Namespace("n"),
            tenant_id=TenantId("t"),
            key=None if key is None else ObjectKey(key),
        )
        return UploadIntent(new=new)

    async def upload(self, data: bytes, key: str | None = None) -> ObjectId:
        runtime = self.runtime
        upload = UploadObject(
            runtime.metadata,
            runtime.blobs,
            runtime.hashers,
            algorithm="sha256",
            clock=runtime.clock,
            limits=LIMITS,
        )
        return (await upload.whole(self.intent(key), data)).object.id

    async def audit(self, *, deep: bool = False, repair: bool = False) -> list[Finding]:
        runtime = self.runtime
        audit = AuditStore(
            runtime.metadata,
            runtime.blobs,
            runtime.hashers,
            clock=runtime.clock,
            limits=AuditLimits(deep=deep, repair=repair, staging_grace_s=0, lease_grace_s=0),
        )
        return [finding async for finding in audit.findings()]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A service with one hot object twice, one cold, one with a key."""
    config = {
        "data_dir": str(tmp_path),
        "metadata": {"backend": "sqlite"},
        "blobs": {
            name: {"backend": "localfs", "localfs": {"root": str(tmp_path / name)}}
            for name in ("hot", "cold")
        },
        "auth": {"chain": []},
    }
    for name in ("hot", "cold"):
        (tmp_path / name).mkdir()
    async with open_runtime(config) as runtime:
        made = Store(runtime, tmp_path)
        await made.upload(CONTENT)
        await made.upload(CONTENT, key="key")
        await made.upload(b"other bytes")
        yield made


def _trash(store: Store) -> None:
    locator = str(store.file.relative_to(store.root / "hot"))
    # What a late collector does: the row stays.
    anyio.from_thread.run(store.runtime.blobs[StorageClass.HOT].remove, [locator])


def _flip_a_bit(store: Store) -> None:
    damaged = bytearray(CONTENT)
    damaged[3] ^= 1
    store.file.chmod(0o600)
    store.file.write_bytes(damaged)


def _truncate(store: Store) -> None:
    store.file.chmod(0o600)
    os.truncate(store.file, 3)


def _grow(store: Store) -> None:
    store.file.chmod(0o600)
    store.file.write_bytes(CONTENT + b"!")


def _replace_by_directory(store: Store) -> None:
    store.file.unlink()
    store.file.mkdir()


def _orphan(store: Store, storage_class: str, name: str | None = None) -> None:
    digest = name or hashlib.sha256(b"nobody's").hexdigest()
    path = store.root / storage_class / digest[:2] / digest[2:4] / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nobody's")


def _staged(store: Store, upload_id: str) -> None:
    async def leave() -> None:
        staged = await store.runtime.blobs[StorageClass.HOT].stage(ObjectId(upload_id))
        await staged.write(b"half")
        await staged.finish()
        # Copied under another entry's name: what a killed process leaves is not closed.
        [entry] = (store.root / "hot" / ".staging").iterdir()
        shutil.copy(
            entry, entry.with_name(entry.name[:-1] + ("0" if entry.name[-1] != "0" else "1"))
        )
        await staged.aclose()

    anyio.from_thread.run(leave)


def _abandoned(store: Store, *, reserved: bool) -> None:
    async def begin() -> None:
        lease = await store.runtime.metadata.objects.begin(store.intent("slow"), lease_s=0)
        if reserved:
            content = Content(store.runtime.hasher.hash(CONTENT), len(CONTENT))
            await store.runtime.metadata.objects.reserve(lease, content)

    anyio.from_thread.run(begin)


def _lost_garbage(store: Store) -> None:
    async def lose() -> None:
        gone = await store.upload(b"garbage")
        await store.runtime.metadata.objects.delete(TenantId("t"), gone)

    anyio.from_thread.run(lose)
    digest = hashlib.sha256(b"garbage").hexdigest()
    (store.root / "hot" / digest[:2] / digest[2:4] / digest).unlink()


HOT = f"content_hash = 'sha256:{hashlib.sha256(CONTENT).hexdigest()}'"
NOBODY = "01900000-0000-7000-8000-000000000000"

# name: (damage, invariants that break, repairs that mend all of it; 0 for damage that stays)
DAMAGE: dict[str, tuple[Callable[[Store], object], set[str], int]] = {
    "bytes are gone": (lambda s: s.file.unlink(), {"I2"}, 0),
    "bytes are in the trash": (_trash, {"I2"}, 1),
    "a shard is gone": (lambda s: shutil.rmtree(s.file.parent.parent), {"I2"}, 0),
    "bytes are truncated": (_truncate, {"I2"}, 0),
    "bytes have grown": (_grow, {"I2"}, 0),
    "a bit has flipped": (_flip_a_bit, {"I2"}, 0),
    "a directory is in their place": (_replace_by_directory, {"I2"}, 0),
    "the locator is wrong": (
        lambda s: s.sql(
            f"UPDATE blobs SET locator = 'ab/cd/' || substr({HOT[:12]}, 8) WHERE {HOT}"
        ),
        {"I2"},
        0,
    ),
    "the count is too high": (
        lambda s: s.sql(f"UPDATE blobs SET ref_count = 7 WHERE {HOT}"),
        {"I3"},
        1,
    ),
    "the count is too low": (
        lambda s: s.sql(f"UPDATE blobs SET ref_count = 1 WHERE {HOT}"),
        {"I3"},
        1,
    ),
    "the count is zero": (
        lambda s: s.sql(f"UPDATE blobs SET ref_count = 0, zero_since = 1 WHERE {HOT}"),
        {"I3"},
        1,
    ),
    "the row is gone": (lambda s: s.sql(f"DELETE FROM blobs WHERE {HOT}"), {"I1", "I4"}, 2),
    "the row has another size": (
        lambda s: s.sql(f"UPDATE blobs SET size_bytes = 5 WHERE {HOT}"),
        {"I1", "I2"},
        0,
    ),
    "an object has another size": (
        lambda s: s.sql("UPDATE objects SET size_bytes = 5 WHERE key = 'key'"),
        {"I1"},
        0,
    ),
    "an object has another class": (
        lambda s: s.sql("UPDATE objects SET storage_class = 'cold' WHERE key = 'key'"),
        {"I1", "I3"},
        0,
    ),
    "the row is not stored": (
        lambda s: s.sql(f"UPDATE blobs SET stored_at = NULL WHERE {HOT}"),
        {"I1"},
        1,
    ),
    "the row is not stored, and its bytes are in the trash": (
        lambda s: (_trash(s), s.sql(f"UPDATE blobs SET stored_at = NULL WHERE {HOT}")),
        {"I1"},
        1,
    ),
    "the row is not stored, and a bit has flipped": (
        lambda s: (_flip_a_bit(s), s.sql(f"UPDATE blobs SET stored_at = NULL WHERE {HOT}")),
        {"I1"},
        0,
    ),
    "the row is not stored, and its bytes are gone": (
        lambda s: (s.file.unlink(), s.sql(f"UPDATE blobs SET stored_at = NULL WHERE {HOT}")),
        {"I1"},
        0,
    ),
    "garbage is gone": (_lost_garbage, {"I2"}, 1),
    "a hot file has no row": (lambda s: _orphan(s, "hot"), {"I4"}, 1),
    "a cold file has no row": (lambda s: _orphan(s, "cold"), {"I4"}, 1),
    "staged without an upload": (lambda s: _staged(s, NOBODY), {"I5"}, 1),
    "an upload lost its lease": (lambda s: _abandoned(s, reserved=False), {"I6"}, 1),
    "a reservation lost its lease": (lambda s: _abandoned(s, reserved=True), {"I6"}, 1),
    "usage is counted wrong": (
        lambda s: s.sql("UPDATE usage SET objects = objects + 3, bytes = 1"),
        {"I12"},
        1,
    ),
    "usage is not counted": (lambda s: s.sql("DELETE FROM usage"), {"I12"}, 1),
    "a key is held twice": (
        lambda s: s.sql(
            "DROP INDEX uq_objects_key; UPDATE objects SET key = 'key' WHERE key IS NULL"
        ),
        {"I7"},
        0,
    ),
}


async def test_a_healthy_store_has_no_findings(store: Store) -> None:
    """The auditor is silent, deep or not, when nothing is wrong."""
    assert await store.audit() == []
    assert await store.audit(deep=True) == []


@pytest.mark.parametrize("name", list(DAMAGE))
async def test_planted_damage_is_found_and_mended(store: Store, name: str) -> None:
    """Each kind of damage is found as what it is; repair mends what can be, twice is as once."""
    damage, broken, mended = DAMAGE[name]
    await anyio.to_thread.run_sync(damage, store)
    found = await store.audit(deep=True)
    assert {finding.invariant for finding in found} == broken
    assert not any(finding.repaired for finding in found)
    repaired = await store.audit(deep=True, repair=True)
    if mended:
        assert all(finding.repaired for finding in repaired) is (mended == 1)
        for _ in range(mended - 1):  # a repair may lay bare the next thing to repair
            repaired = await store.audit(deep=True, repair=True)
        assert all(finding.repaired for finding in repaired)
        assert await store.audit(deep=True, repair=True) == []
    else:
        await store.audit(deep=True, repair=True)
        left = await store.audit(deep=True, repair=True)
        assert left and not any(finding.repaired for finding in left)


async def test_what_is_lost_is_told_until_it_is_healed(store: Store) -> None:
    """A blob that is known to be lost is never clean, names who suffers, and an upload heals it."""
    for _ in range(11):
        await store.upload(CONTENT)
    store.file.unlink()
    [found] = await store.audit()
    assert (found.invariant, found.detail) == ("I2", "its bytes are missing")
    [repaired] = await store.audit(repair=True)
    assert not repaired.repaired
    for repair in (False, True, False):
        [lost] = await store.audit(repair=repair)
        assert (lost.invariant, lost.repaired) == ("I1", False)
        assert lost.detail.endswith("its bytes are missing")
        for each in (found, lost):
            assert (len(each.affected), each.affected_count) == (10, 13)
            assert {(one.tenant_id, one.namespace) for one in each.affected} == {("t", "n")}
    assert {one.key for one in lost.affected} == {None, "key"}
    await store.upload(CONTENT)
    assert await store.audit(deep=True) == []


async def test_a_reader_that_finds_a_loss_makes_it_known(store: Store) -> None:
    """What a download distrusts is a finding as well."""
    store.file.unlink()
    await store.runtime.metadata.blobs.distrust(
        BlobKey(store.runtime.hasher.hash(CONTENT), StorageClass.HOT)
    )
    assert [found.invariant for found in await store.audit()] == ["I1"]


async def test_a_class_that_is_not_configured_is_no_clean_audit(store: Store) -> None:
    """Whether bytes are there cannot be told without their store: the audit says so and fails."""
    runtime = store.runtime
    audit = AuditStore(
        runtime.metadata,
        {StorageClass.COLD: runtime.blobs[StorageClass.COLD]},
        runtime.hashers,
        clock=runtime.clock,
        limits=AuditLimits(),
    )
    with pytest.raises(Misconfigured, match=r"blobs\.hot"):
        [found async for found in audit.findings()]


async def test_half_a_restore_is_told_first_and_not_repaired(store: Store) -> None:
    """What its counts lack is still to come; once it has ended, they are right by themselves."""
    store.sql("INSERT INTO holds (name, since) VALUES ('restore 0190', 0)")
    store.sql("UPDATE blobs SET ref_count = ref_count + 1")
    first, *others = await store.audit(repair=True)
    assert (first.invariant, first.subject, first.repaired) == ("restore", "0190", False)
    assert "run `juststorage backup restore --id 0190` again" in first.detail
    assert [(each.invariant, each.repaired) for each in others] == [("I3", False)] * 2
    store.sql("DELETE FROM holds; UPDATE blobs SET ref_count = ref_count - 1")
    assert await store.audit() == []


async def test_more_staged_bytes_than_a_page(store: Store) -> None:
    """Live uploads, however many, hide nothing that is dead; all of it is found."""
    runtime = store.runtime
    staging = store.root / "hot" / ".staging"
    for number in range(600):
        intent = store.intent()
        await runtime.metadata.objects.begin(intent, lease_s=3600)
        (staging / f"{intent.new.id}.{number:08x}").write_bytes(b"alive")
        (staging / f"ffffffff-ffff-7fff-bfff-{number:012x}.00000000").write_bytes(b"dead")
    assert len(await store.audit()) == 600
    assert all(found.repaired for found in await store.audit(repair=True))
    assert await store.audit() == []
    assert len(list(staging.iterdir())) == 600
