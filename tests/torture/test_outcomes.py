"""Whoever looks up what became of an act accepts neither loss, nor doubles, nor an open outcome.

The service is a list of objects, whose next writes end as a test says: well, or as a broken one
would do it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from tests.torture.acts import BY_KEY, OBJECTS, Copy, Deed, Replace, Upload, UploadOnce, UploadSame
from tests.torture.acts import UploadInTurns as InTurns
from tests.torture.journal import Answer, Broken, Journal
from tests.torture.outcomes import Outcomes, all_slots_free


class Ending(NamedTuple):
    """How a write ends: how often it is carried out, and what it is answered."""

    times: int
    status: int = 503


WELL, COMMITTED, ABSENT = Ending(1, 0), Ending(1), Ending(0)
WAITS = Ending(0, 409)
LOST, TWICE, TWICE_UNTOLD = Ending(0, 0), Ending(2, 0), Ending(2)


class FakeService:
    """Objects in a list, two to a page."""

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []
        self.endings: list[Ending] = []
        """Of the next writes; those after them end well."""
        self.in_use = [0]
        """Connections to the database that are in use, at each look; the last one for ever."""
        self.forgets = False
        """Whether it forgets what a retry repeats."""
        self._kept: dict[str, dict[str, Any]] = {}
        self._made = 0

    def call(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request to it."""
        if target == "/metrics":
            number = self.in_use.pop(0) if len(self.in_use) > 1 else self.in_use[0]
            line = f'juststorage_backend_connections_in_use{{backend="metadata"}} {number}'
            return 200, line.encode()
        if method == "GET":
            return 200, json.dumps(self._page(target)).encode()
        return self._write(method, target, body or b"", (headers or {}).get("Idempotency-Key", ""))

    def _page(self, target: str) -> dict[str, Any]:
        start = int(target.partition("cursor=")[2] or 0)
        following = str(start + 2) if start + 2 < len(self.objects) else None
        return {"objects": self.objects[start : start + 2], "next_cursor": following}

    def _write(self, method: str, target: str, body: bytes, once: str) -> Answer:
        if once in self._kept and not self.forgets:
            return 201, json.dumps(self._kept[once]).encode()
        times, status = self.endings.pop(0) if self.endings else WELL
        made = self._object(method, target, body)
        for _ in range(times):
            if method == "PUT":
                self.objects = [each for each in self.objects if each["key"] != made["key"]]
            self.objects.append(made)
            if once:
                self._kept[once] = made
            made = {**made, "id": self._id()}
        if status:
            return status, b"refused"
        return 201, json.dumps(self.objects[-1] if times else made).encode()

    def _object(self, method: str, target: str, body: bytes) -> dict[str, Any]:
        if "/copy" in target:
            [copied] = [each for each in self.objects if each["id"] in target]
            return {**copied, "id": self._id()}
        key = target.removeprefix(f"{BY_KEY}/") if method == "PUT" else None
        facts = {"content_hash": f"sha256:{sha256(body).hexdigest()}", "size_bytes": len(body)}
        return {"id": self._id(), **facts, "key": key}

    def _id(self) -> str:
        self._made += 1
        return f"id-{self._made}"


class UploadInTurns(InTurns):
    """Without the turns: what counts here is that it can be gone on with."""

    def prepare(self) -> None:
        Upload.prepare(self)

    def act(self) -> bool:
        header = {"Idempotency-Key": self.data[:8].hex()}
        answer = self.answered(
            self.rig.service.call("POST", OBJECTS, self.data, headers=header), 201
        )
        if answer is not None and not any(e.data == self.data for e in self.journal.entries):
            self.journal.uploaded(answer[1], self.data)
        return answer is not None


@pytest.fixture
def service() -> FakeService:
    """A service with three objects of others."""
    made = FakeService()
    for each in (b"1", b"2", b"3"):
        made.call("POST", OBJECTS, each)
    return made


@pytest.fixture
def outcomes(service: FakeService) -> Outcomes:
    """What looks at it."""
    made: Any = SimpleNamespace(service=service, journal=Journal(), logged=str)
    return Outcomes(made, Counter())


def look_up(outcomes: Outcomes, deed: type[Deed], *endings: Ending) -> Deed:
    """The deed, which ends like this, and what it came to; the deed."""
    doing = deed(outcomes.made, random.Random(1))
    doing.prepare()
    outcomes.before(doing)
    doing.refusals = (404, 409, 503)
    service: Any = outcomes.made.service
    service.endings = list(endings)
    outcomes.after(doing, done=doing.act())
    return doing


ADDING: tuple[type[Deed], ...] = (Upload, UploadSame, Copy)
RETRIED: tuple[type[Deed], ...] = (UploadOnce, UploadInTurns)
ALL: tuple[type[Deed], ...] = (*ADDING, *RETRIED, Replace)


def read(outcomes: Outcomes, object_id: str) -> Answer:
    """Whether it is there; its bytes are not what this is about."""
    found = any(each["id"] == object_id for each in outcomes.made.service.objects)  # type: ignore[attr-defined]
    data = next(entry.data for entry in outcomes.made.journal.entries if entry.id == object_id)
    return (200, data) if found else (404, b"")


@pytest.mark.parametrize("deed", ALL)
@pytest.mark.parametrize("ending", [WELL, COMMITTED, ABSENT])
def test_what_is_right_is_accepted(outcomes: Outcomes, deed: type[Deed], ending: Ending) -> None:
    """And counted; the journal knows how it ended, and holds the service to that."""
    doing = look_up(outcomes, deed, ending)
    outcomes.check()
    found = {what: n for what, n in outcomes.counts.items() if "looked up" in what}
    word = {WELL: None, COMMITTED: "committed", ABSENT: "absent"}[ending]
    assert found == ({f"unknown outcomes looked up, {word}": 1} if word else {})
    gone_on = outcomes.counts[f"{deed.__name__} gone on with after a cut"]
    assert gone_on == (ending is not WELL and deed in RETRIED)
    is_there = ending is not ABSENT or deed in RETRIED
    known = [each for each in outcomes.made.journal.entries if each.data == doing.at_stake]
    assert len([each for each in known if each.deleted is False]) == is_there + (
        deed in (UploadSame, Copy)
    )
    assert all(each.deleted is not None for each in outcomes.made.journal.entries), "all is known"
    outcomes.made.journal.check(lambda object_id: read(outcomes, object_id))


def test_an_idempotency_key_may_have_to_wait(outcomes: Outcomes) -> None:
    """The first attempt's lease runs; the outcome is what was found, for good."""
    look_up(outcomes, UploadOnce, ABSENT, WAITS)
    assert outcomes.counts["unknown outcomes looked up, absent"] == 2
    outcomes.check()


@pytest.mark.parametrize("deed", ALL)
def test_a_lost_success_is_noticed(outcomes: Outcomes, deed: type[Deed]) -> None:
    """It was acknowledged, and is not there."""
    with pytest.raises(Broken, match=r"of which 0 are there|its key has what it had before"):
        look_up(outcomes, deed, LOST)


@pytest.mark.parametrize("deed", [*ADDING, *RETRIED])
@pytest.mark.parametrize("ending", [TWICE, TWICE_UNTOLD])
def test_an_act_that_was_done_twice_is_noticed(
    outcomes: Outcomes, deed: type[Deed], ending: Ending
) -> None:
    """Whether it was answered or not."""
    with pytest.raises(Broken, match="one upload, of which 2 are there"):
        look_up(outcomes, deed, ending)


@pytest.mark.parametrize("deed", RETRIED)
def test_a_retry_that_does_it_again_is_noticed(
    outcomes: Outcomes, service: FakeService, deed: type[Deed]
) -> None:
    """It was committed, and gone on with; that must be one and the same."""
    service.forgets = True
    with pytest.raises(Broken, match="one upload, of which 2 are there"):
        look_up(outcomes, deed, COMMITTED)


@pytest.mark.parametrize("deed", RETRIED)
@pytest.mark.parametrize("refusal", [ABSENT, WAITS])
def test_an_outcome_that_stays_open_is_noticed(
    outcomes: Outcomes, deed: type[Deed], refusal: Ending
) -> None:
    """Whoever may go on has to be able to; only an idempotency key may have to wait."""
    if deed is UploadOnce and refusal is WAITS:
        return
    with pytest.raises(Broken, match="it does not go on"):
        look_up(outcomes, deed, ABSENT, refusal)


@pytest.mark.parametrize("deed", [*ADDING, UploadOnce])
def test_what_comes_to_life_is_noticed(
    outcomes: Outcomes, service: FakeService, deed: type[Deed]
) -> None:
    """Absent when it was looked up, and carried out after that."""
    doing = look_up(outcomes, deed, ABSENT, WAITS)
    service.endings = [WELL]
    service.call("POST", OBJECTS, doing.at_stake)
    with pytest.raises(Broken, match=r"and [12] later"):
        outcomes.check()


@pytest.mark.parametrize("deed", [*ADDING, *RETRIED])
@pytest.mark.parametrize("ending", [WELL, COMMITTED])
def test_what_is_lost_later_is_noticed(
    outcomes: Outcomes, service: FakeService, deed: type[Deed], ending: Ending
) -> None:
    """There when it was looked up, acknowledged or not, and not there after that."""
    look_up(outcomes, deed, ending)
    service.objects.pop()
    with pytest.raises(Broken, match=r"and [01] later"):
        outcomes.check()


def test_what_a_retry_loses_is_noticed(outcomes: Outcomes, service: FakeService) -> None:
    """Committed, as was seen, and gone when the retry has been refused."""

    class Losing(UploadOnce):
        def act(self) -> bool:
            if self.refused is None and service.objects[-1]["size_bytes"] == len(self.data):
                service.objects.pop()
            return super().act()

    service.forgets = True
    with pytest.raises(Broken, match="not there any more"):
        look_up(outcomes, Losing, COMMITTED, WAITS)


def test_a_key_has_the_one_or_the_other(outcomes: Outcomes, service: FakeService) -> None:
    """Not both, nor neither, nor something that nobody has sent."""

    class Meddling(Replace):
        times = 0

        def act(self) -> bool:
            done = super().act()
            other = {**service.objects.pop(), "content_hash": "sha256:" + 64 * "0"}
            service.objects += [{**other, "key": self.key}] * self.times
            return done

    for times, told in ((0, "0 objects"), (1, "neither"), (2, "2 objects")):
        Meddling.times = times
        with pytest.raises(Broken, match=told):
            look_up(outcomes, Meddling, ABSENT)


def test_a_slot_that_leaks_is_noticed(outcomes: Outcomes, service: FakeService) -> None:
    """One that comes back a little later is none."""
    service.in_use = [2, 1, 0]
    look_up(outcomes, Upload)
    assert service.in_use == [0], "it has waited for all of them"
    service.in_use = [1]
    checked: Any = service
    with pytest.raises(Broken, match="1 connections are in use"):
        all_slots_free(checked, within_s=0.05)


def test_a_service_that_tells_nothing_is_noticed(outcomes: Outcomes, service: FakeService) -> None:
    """Neither its list nor its metrics are taken for empty."""
    silent: Any = SimpleNamespace(call=lambda *_: None)
    with pytest.raises(Broken, match="metrics are answered"):
        all_slots_free(silent)
    outcomes.made.service = silent
    with pytest.raises(Broken, match="a list is answered"):
        outcomes.check()
