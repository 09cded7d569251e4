"""Rules of what happens to the service: collections, time, deaths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import multiple, precondition, rule

from tests.torture.acts import JSON
from tests.torture.model.state import (
    GRACE_S,
    STEPS_OF_TIME_S,
    Thing,
)
from tests.torture.model.turning import Turning, adding_at
from tests.torture.model.walker import CONTENTS, KEYS, things, turns
from tests.torture.points import Act
from tests.torture.service import Store

__all__ = ["Happening"]

_DEATHS_OF_A_WALK = 2
_COMMANDS_OF_A_WALK = 1
"""What takes the time of hundreds of requests: starting a server, and a process that collects."""


def _may_die(walk: Any) -> bool:
    return bool(walk.deaths < _DEATHS_OF_A_WALK)


class Happening(Turning):
    """What nobody asked for."""

    @rule(grace_s=st.sampled_from([None, 0]))
    def collect(self, grace_s: int | None) -> None:
        """What nothing refers to goes once it is old enough, and not before."""
        asked = {} if grace_s is None else {"grace_seconds": grace_s}
        answer = self.post("/v1/admin/gc", asked)
        self.expect_status("a collection", answer, 200)
        report = json.loads(answer[1])
        self.expect(report["errors"] == 0, f"a collection had errors: {report}")
        right = {
            "reaped": self.model.reap(),
            "removed": self.model.collect(GRACE_S if grace_s is None else grace_s),
        }
        for what, (least, most) in right.items():
            is_right = least <= report[what] <= most
            self.expect(is_right, f"{what} are {report[what]}, not {least} to {most}")
        self.counts["collections by the server"] += 1

    @precondition(lambda self: self.commands < _COMMANDS_OF_A_WALK)
    @rule()
    def collect_beside_it(self) -> None:
        """The same without any grace, in a process of its own."""
        self.commands += 1
        self.expect(self.rig.command("gc", "run", "--grace-s", "0") == 0, "gc run failed")
        self.model.reap()
        self.model.collect(0)
        self.counts["collections by a command"] += 1

    @rule(seconds=st.sampled_from(STEPS_OF_TIME_S))
    def time_goes_by(self, seconds: int) -> None:
        """Leases, grace and answers grow old."""
        let_time_pass(self.rig.store, seconds)
        self.model.now_s += seconds

    # -- deaths ---------------------------------------------------------------------------------
    #
    # Where somebody died is not the same when a walk is repeated. So each of these comes to the
    # same end however that was, as a client that asks again does: what Hypothesis may draw later
    # must not depend on it.

    @precondition(_may_die)
    @rule()
    def die(self) -> None:
        """SIGKILL between two steps: nothing that was answered is gone."""
        self.deaths += 1
        self._revive("SIGKILLs between steps")

    @precondition(_may_die)
    @rule(target=things, data=CONTENTS, key=KEYS, at=st.integers(1, 20))
    def die_in_a_put(self, data: bytes, key: str, at: int) -> Any:
        """SIGKILL within a PUT: the key has the old object or the new one."""
        self.deaths += 1
        model = self.model
        former = model.holder(key)
        thing = Thing(data, key, next(model.births))
        with self._armed(at):
            answer = self.rig.service.call("PUT", self.by_key(key), data)
        if answer is None:
            self._revive("SIGKILLs within steps")
            found = next((name for name, held in self.listed() if held == key), None)
            if found not in {None, former}:
                model.displace(key)
                model.add(found, thing)
                return found
            self.expect(found == former, "a PUT that died has taken the key's object away")
            model.haunt(thing.blob)
            answer = self.ask("PUT", self.by_key(key), data)
        self.expect_status("PUT", answer, 201 if former is None else 200)
        model.displace(key)
        return self.add(answer[1], thing)

    @precondition(_may_die)
    @rule(which=things, other=things, at=st.integers(1, 6))
    def die_deleting_many(self, which: str, other: str, at: int) -> None:
        """SIGKILL within a deletion of two: both or none, for it is one transaction."""
        self.deaths += 1
        doomed = [name for name in dict.fromkeys([which, other]) if name in self.model.living]
        document = {"tenant_id": "t", "ids": [which, other]}
        with self._armed(at):
            answer = self.rig.service.call(
                "POST", "/v1/objects/delete", json.dumps(document).encode(), headers=JSON
            )
        if answer is None:
            self._revive("SIGKILLs within steps")
            there = {name for name, _ in self.listed()}
            kept = [name for name in doomed if name in there]
            self.expect(kept in ([], doomed), f"of {doomed}, {kept} are left")
            answer = self.post("/v1/objects/delete", document)
        self.expect_status("deleting many", answer, 200)
        for name in doomed:
            self.model.drop(name)

    @precondition(_may_die)
    @rule(target=things, which=turns, at=st.integers(1, 40))
    def die_in_a_turn(self, which: str, at: int) -> Any:
        """SIGKILL while the rest of an upload is sent: what was kept before is kept."""
        self.deaths += 1
        upload = self.model.uploads[which]
        if not upload.is_alive:
            return multiple()
        start, end = upload.kept_bytes, len(upload.data)
        with self._armed(at):
            exchanged = self.rig.service.exchange(
                "PATCH", which, upload.data[start:], headers=adding_at(start)
            )
        if exchanged is not None:
            return self.judge(upload, end, *exchanged)
        self._revive("SIGKILLs within steps")
        self.model.haunt((upload.data, upload.storage_class))
        answer, told = self.exchange("HEAD", which)
        if answer[0] == 404 and self.refusal(upload) is not None:  # died after that, unheard
            upload.is_alive = False
            return multiple()
        self.expect_status(f"HEAD of {upload}, which died", answer, 200)
        offset = int(told["Upload-Offset"])
        self.expect(start <= offset <= end, f"{start} bytes were kept: {told}")
        upload.kept_bytes = offset
        # What was committed before is told again by a request with nothing in it.
        return self.judge(upload, end, *self.patch(which, offset, upload.data[offset:]))

    @contextmanager
    def _armed(self, at: int) -> Iterator[None]:
        """The server dies at that point, if it comes to it."""
        self.rig.points.arm(Act.KILL, at)
        try:
            yield
        finally:
            self.rig.points.disarm()

    def _revive(self, how: str) -> None:
        """Start the server again, which has died or is to die now."""
        code = self.rig.service.kill()
        self.expect(code == -9, f"the server ended with code {code}")
        self.is_broken = True  # unless it starts
        self.rig.service.start()
        self.is_broken = False
        self.counts[how] += 1


def let_time_pass(store: Store, seconds: int) -> None:
    """Let all that the database dates be that much older, which is what a later clock sees.

    Only files keep their dates: of trash and staged bytes, which clients see nothing of.
    """
    earlier = {
        "sqlite": f"{{0}} - {seconds}000000",
        "postgres": f"{{0}} - interval '{seconds} seconds'",
    }[store.kind]
    dated = {
        "objects": ("lease_expires_at",),
        "blobs": ("zero_since", "claimed_until"),
        "idempotency_keys": ("expires_at",),
    }
    store.sql(
        *(
            f"UPDATE {table} SET {column} = {earlier.format(column)} WHERE {column} IS NOT NULL"
            for table, columns in dated.items()
            for column in columns
        )
    )
