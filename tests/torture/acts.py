"""What a client, or an operator, does to the service in one step, with what must come before it.

Each act prepares, acts, and knows which answers are right; the journal is told of all of it.
"""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod

from tests.torture.experiment import Rig
from tests.torture.journal import Answer, Broken, Entry
from tests.torture.points import NEVER, Act, Point, Side
from tests.torture.turns import Turns

__all__ = ["ACTS", "UPLOADING", "Deed"]

OBJECTS = "/v1/objects?namespace=n&tenant_id=t"
BY_KEY = "/v1/objects/by-key/n/t"
PATCH = {"Content-Type": "application/merge-patch+json"}
JSON = {"Content-Type": "application/json"}
SMALL, LARGE = 500, 200_000


class Deed(ABC):
    """One act on one rig; made anew for each time.

    Args:
        rig: Where.
        chance: Makes the contents.
    """

    is_command = False
    """Whether a command's process does it, beside the server."""

    kills = Act.KILL
    """What is armed to let somebody die on the way."""

    @property
    def side(self) -> Side:
        """Whose points are those of the act."""
        return Side.COMMAND if self.is_command else Side.SERVER

    died = False
    """Whether somebody did, and the act was answered nevertheless."""

    codes = (0, -9)
    """Exit codes of a command that are right."""

    at_stake: bytes
    """The content that it is about, once it is prepared."""

    may_wait = False
    """Whether a lease may still run of an attempt that died: what waits for that says so."""

    refusals: tuple[int, ...] = ()
    """Statuses by which it may be refused, for an experiment that takes away what it needs."""

    def __init__(self, rig: Rig, chance: random.Random) -> None:
        self.rig = rig
        self.chance = chance
        self.journal = rig.journal
        self.refused: int | None = None
        self.at_stake = b""

    def prepare(self) -> None:  # noqa: B027 - an act may need nothing
        """What must come before; everything is well meanwhile."""

    @abstractmethod
    def act(self) -> bool:
        """Do it; whether it was answered."""

    def recover(self) -> None:  # noqa: B027 - the same
        """What an operator has to do after a death on the way; normally nothing."""

    # -- helpers --------------------------------------------------------------------------------

    def bytes(self, size: int) -> bytes:
        """New content."""
        return self.chance.randbytes(size)

    def answered(self, answer: Answer | None, *good: int) -> Answer | None:
        """The answer, if it is one of the good ones; None if there was none, or a refusal."""
        if answer is not None and answer[0] in self.refusals:
            self.refused = answer[0]
            return None
        if answer is not None and answer[0] not in good:
            raise Broken(f"{type(self).__name__} answers {answer[0]}: {answer[1][:300]!r}")
        return answer

    def well(self, answer: Answer | None, *good: int) -> Answer:
        """The answer of a service that is well."""
        if answer is None or answer[0] not in good:
            raise Broken(f"a service that is well answers {answer}: {self.rig.logged()}")
        return answer

    def stored(self, data: bytes, key: str | None = None) -> Entry:
        """An object with this content, as a preparation."""
        if key is None:
            answer = self.well(self.rig.service.call("POST", OBJECTS, data), 201)
            return self.journal.uploaded(answer[1], data)
        self.journal.replacing(key, data)
        answer = self.well(self.rig.service.call("PUT", f"{BY_KEY}/{key}", data), 200, 201)
        return self.journal.replaced(answer[1], data, key)

    def delete(self, entry: Entry) -> Answer | None:
        """Delete it."""
        entry.deleted = None
        answer = self.rig.service.call("DELETE", f"/v1/objects/{entry.id}?tenant_id=t")
        if answer is not None and answer[0] in {204, 404}:
            entry.deleted = True
        return answer


class Upload(Deed):
    """A small body of new content."""

    size = SMALL

    def prepare(self) -> None:
        self.data = self.at_stake = self.bytes(self.size)

    def act(self) -> bool:
        answer = self.answered(self.rig.service.call("POST", OBJECTS, self.data), 201)
        if answer is not None:
            self.journal.uploaded(answer[1], self.data)
        return answer is not None


class UploadLarge(Upload):
    """A body that is streamed through staging."""

    size = LARGE


class UploadSame(Upload):
    """A small body that is stored already."""

    def prepare(self) -> None:
        super().prepare()
        self.stored(self.data)


class UploadSameLarge(UploadSame):
    """The same, streamed."""

    size = LARGE


class UploadOnce(Upload):
    """With an idempotency key, which a retry repeats."""

    def prepare(self) -> None:
        super().prepare()
        self.key = self.bytes(16).hex()

    def act(self) -> bool:
        answer = self.rig.service.call(
            "POST", OBJECTS, self.data, headers={"Idempotency-Key": self.key}
        )
        answer = self.answered(answer, 201, *((409,) if self.may_wait else ()))
        if answer is not None and answer[0] == 201:
            known = {entry.id for entry in self.journal.entries}
            if json.loads(answer[1])["id"] not in known:
                self.journal.uploaded(answer[1], self.data)
        return answer is not None


class UploadInTurns(Upload):
    """In two requests, after one that begins it; what was kept of it is not sent again."""

    size = LARGE

    def prepare(self) -> None:
        super().prepare()
        self.turns = Turns(self.data, "namespace=n&tenant_id=t", self.rig.service.exchange)

    def act(self) -> bool:
        while (answer := self.answered(self.turns.step(), 200, 201, 204)) is not None:
            if answer[0] == 200:
                self.journal.uploaded(answer[1], self.data)
                return True
        return False

    def recover(self) -> None:
        """No lease is over yet: what was kept is there. Then all leases are ended."""
        if self.turns.kept_bytes:
            self.well(self.turns.ask(), 200)
        self.turns.may_be_gone()


class UploadDeleted(Upload):
    """Content whose only object was just deleted: its blob waits for the collector."""

    size = LARGE

    def prepare(self) -> None:
        super().prepare()
        self.well(self.delete(self.stored(self.data)), 204)


class Replace(Deed):
    """PUT over a key, with new content."""

    size = SMALL

    def prepare(self) -> None:
        self.data = self.at_stake = self.bytes(self.size)
        self.key = self.bytes(6).hex()
        self.stored(self.bytes(self.size), self.key)

    def act(self) -> bool:
        self.journal.replacing(self.key, self.data)
        answer = self.rig.service.call("PUT", f"{BY_KEY}/{self.key}", self.data)
        answer = self.answered(answer, 200, 201)
        if answer is not None:
            self.journal.replaced(answer[1], self.data, self.key)
        elif self.refused == 507:
            self.journal.untouched(self.key)
        return answer is not None


class ReplaceLarge(Replace):
    """The same, streamed."""

    size = LARGE


class Delete(Deed):
    """The last object of its content."""

    def prepare(self) -> None:
        self.entry = self.stored(self.bytes(SMALL))

    def act(self) -> bool:
        return self.answered(self.delete(self.entry), 204, 404) is not None


class DeleteMany(Deed):
    """Several objects in one call, two of them of one content."""

    def prepare(self) -> None:
        data = self.bytes(SMALL)
        self.entries = [self.stored(each) for each in (data, data, self.bytes(SMALL))]

    def act(self) -> bool:
        for entry in self.entries:
            entry.deleted = None
        body = json.dumps({"ids": [entry.id for entry in self.entries], "tenant_id": "t"}).encode()
        answer = self.rig.service.call("POST", "/v1/objects/delete", body, headers=JSON)
        answer = self.answered(answer, 200)
        if answer is not None:
            for entry in self.entries:
                entry.deleted = True
        return answer is not None

    def recover(self) -> None:
        """Nothing has to be done; all of them are gone, or none is."""
        statuses = {self.rig.service.read(entry.id)[0] for entry in self.entries}
        if len(statuses) > 1:
            raise Broken(f"of a deletion of several a part was done: {statuses}")


class Move(Deed):
    """From hot to cold."""

    def prepare(self) -> None:
        self.at_stake = self.bytes(LARGE)
        self.entry = self.stored(self.at_stake)

    def act(self) -> bool:
        self.entry.storage_class = None
        answer = self.rig.service.call(
            "PATCH",
            f"/v1/objects/{self.entry.id}?tenant_id=t",
            b'{"storage_class": "cold"}',
            headers=PATCH,
        )
        answer = self.answered(answer, 200)
        if answer is not None:
            self.entry.storage_class = "cold"
        return answer is not None


class Copy(Deed):
    """To an object of the other class."""

    def prepare(self) -> None:
        self.at_stake = self.bytes(LARGE)
        self.entry = self.stored(self.at_stake)

    def act(self) -> bool:
        answer = self.rig.service.call(
            "POST",
            f"/v1/objects/{self.entry.id}/copy?tenant_id=t",
            b'{"storage_class": "cold"}',
            headers=JSON,
        )
        answer = self.answered(answer, 201)
        if answer is not None:
            self.journal.uploaded(answer[1], self.entry.data)
        return answer is not None


# -- what commands do -----------------------------------------------------------------------------


class Collect(Deed):
    """Blobs without references, one of which is uploaded again before."""

    is_command = True

    def prepare(self) -> None:
        again = self.bytes(SMALL)
        self.at_stake = self.bytes(LARGE)
        for data in (self.bytes(SMALL), self.at_stake, again):
            self.well(self.delete(self.stored(data)), 204)
        self.stored(again)

    def act(self) -> bool:
        code = self.rig.command("gc", "run", "--grace-s", "0")
        if code not in self.codes:
            raise Broken(f"gc run ended with code {code}: {self.rig.logged()}")
        return code == 0


class Reap(Collect):
    """An upload that died on its way, with staged bytes and a reference."""

    def prepare(self) -> None:
        data = self.bytes(LARGE)
        # The point of the rename: staged, reserved, not placed.
        self.rig.points.arm(Act.KILL, NEVER)
        self.stored(data)
        passed = Point.all_of(self.rig.points.disarm())
        self.rig.points.arm(Act.KILL, next(at for at in passed if at.text.startswith("rename")))
        self.at_stake = self.bytes(LARGE)
        died = self.rig.service.call("POST", OBJECTS, self.at_stake)
        self.rig.points.disarm()
        if died is not None:
            raise Broken("the upload that was to die was answered")
        self.rig.service.kill()
        self.rig.service.start()
        self.rig.store.expire_leases()


class Purge(Collect):
    """Trash whose retention is over, one file of which a row names again."""

    def prepare(self) -> None:
        again = self.bytes(SMALL)
        self.at_stake = self.bytes(SMALL)
        for data in (self.at_stake, again):
            self.well(self.delete(self.stored(data)), 204)
        if self.rig.command("gc", "run", "--grace-s", "0"):
            raise Broken(f"gc run failed: {self.rig.logged()}")
        self.stored(again)


class Fsck(Collect):
    """The auditor with repair, on a store with counts of references that are wrong."""

    def prepare(self) -> None:
        self.stored(self.bytes(SMALL))
        self.rig.store.sql("UPDATE blobs SET ref_count = ref_count + 1")

    def act(self) -> bool:
        code = self.rig.command("fsck", "--deep", "--repair")
        if code not in {0, 1, -9}:
            raise Broken(f"fsck ended with code {code}: {self.rig.logged()}")
        return code != -9

    def recover(self) -> None:
        """The damage was there before; repair is done again."""
        self.act()


UPLOADING = (Upload, UploadLarge, UploadSame, UploadSameLarge, UploadOnce, UploadDeleted)
ACTS: tuple[type[Deed], ...] = (
    *UPLOADING,
    UploadInTurns,
    Replace,
    ReplaceLarge,
    Delete,
    DeleteMany,
    Move,
    Copy,
    Collect,
    Reap,
    Purge,
    Fsck,
)
