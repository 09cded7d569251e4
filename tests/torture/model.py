"""A model: random walks over the HTTP API beside a dictionary that does the same.

Hypothesis chooses the steps, and makes a failing walk as short as it can. Besides what clients do
there are collections without any grace, leases that run out, and SIGKILLs between and within steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any
from urllib.parse import quote

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.torture.acts import JSON, PATCH
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.journal import Answer, Broken
from tests.torture.points import Act
from tests.torture.service import STORES, settle

__all__ = ["run"]

STEPS = 50
WALKS = 400
"""Of a complete pass, on all stores together."""

_WALKS_OF_A_ROUND = 5

_CONTENTS = st.sampled_from([b"", b"a", b"b" * 5000, b"c" * 70_000, b"d" * 300_000])
_KEYS = st.sampled_from(["k", "k/l", "ü", "k k", "%2e"])
_CLASSES = st.sampled_from(["hot", "cold"])


@dataclass
class _Thing:
    """What the model knows of an object. None: nobody knows whether it is there."""

    data: bytes
    key: str | None
    storage_class: str = "hot"
    is_there: bool | None = True


def _machine(made: Rig, counts: Counts, numbers: Any) -> type[RuleBasedStateMachine]:
    """The machine on a rig."""

    class Machine(RuleBasedStateMachine):
        things = Bundle("things")

        @initialize()
        def begin(self) -> None:
            self.namespace = f"n{next(numbers)}"
            self.known: dict[str, _Thing] = {}
            counts["walks"] += 1

        # -- what clients do ----------------------------------------------------------------

        @rule(target=things, data=_CONTENTS, key=st.none() | _KEYS)
        def post(self, data: bytes, key: str | None) -> Any:
            named = "" if key is None else f"&key={quote(key, safe='')}"
            target = f"/v1/objects?tenant_id=t&namespace={self.namespace}{named}"
            status, body = self.ask("POST", target, data)
            if key is not None and self.holder(key) is not None:
                self.expect(status == 409, f"POST to a key that is held answers {status}")
                return multiple()
            self.expect(status == 201, f"POST answers {status}: {body!r}")
            return self.add(body, data, key)

        @rule(target=things, data=_CONTENTS, key=_KEYS)
        def put(self, data: bytes, key: str) -> Any:
            former = self.holder(key)
            status, body = self.ask("PUT", self.by_key(key), data)
            self.expect(status == (201 if former is None else 200), f"PUT answers {status}")
            if former is not None:
                self.known[former].is_there = False
            return self.add(body, data, key)

        @rule(which=things)
        def delete(self, which: str) -> None:
            thing = self.known[which]
            status, _ = self.ask("DELETE", f"/v1/objects/{which}?tenant_id=t")
            self.expect(status == (204 if thing.is_there else 404), f"DELETE answers {status}")
            thing.is_there = False

        @rule(which=things, storage_class=_CLASSES)
        def move(self, which: str, storage_class: str) -> None:
            thing = self.known[which]
            status, _ = self.patch(which, {"storage_class": storage_class})
            self.expect(status == (200 if thing.is_there else 404), f"a move answers {status}")
            thing.storage_class = storage_class

        @rule(which=things, key=st.none() | _KEYS)
        def rename(self, which: str, key: str | None) -> None:
            thing = self.known[which]
            holder = None if key is None else self.holder(key)
            status, _ = self.patch(which, {"key": key})
            taken = holder is not None and holder != which
            expected = 404 if not thing.is_there else 409 if taken else 200
            self.expect(status == expected, f"a change of key answers {status}, not {expected}")
            if status == 200:
                thing.key = key

        @rule(target=things, which=things, storage_class=_CLASSES)
        def copy(self, which: str, storage_class: str) -> Any:
            thing = self.known[which]
            body = json.dumps({"storage_class": storage_class}).encode()
            target = f"/v1/objects/{which}/copy?tenant_id=t"
            status, answered = self.ask("POST", target, body, headers=JSON)
            self.expect(status == (201 if thing.is_there else 404), f"a copy answers {status}")
            return self.add(answered, thing.data, None) if status == 201 else multiple()

        @rule(which=things)
        def get(self, which: str) -> None:
            thing = self.known[which]
            status, body = self.ask("GET", f"/v1/objects/{which}?tenant_id=t")
            self.expect(status == (200 if thing.is_there else 404), f"GET answers {status}")
            self.expect(status == 404 or body == thing.data, "other bytes")

        @rule(key=_KEYS)
        def get_by_key(self, key: str) -> None:
            holder = self.holder(key)
            status, body = self.ask("GET", self.by_key(key))
            self.expect(status == (404 if holder is None else 200), f"GET answers {status}")
            self.expect(holder is None or body == self.known[holder].data, "other bytes")

        @rule()
        def listing(self) -> None:
            listed = {each["id"] for each in self.listed()}
            there = {name for name, thing in self.known.items() if thing.is_there}
            self.expect(listed == there, f"listed {listed}, there are {there}")

        # -- what else happens ----------------------------------------------------------------

        @rule()
        def collect(self) -> None:
            self.expect(made.command("gc", "run", "--grace-s", "0") == 0, "gc run failed")
            counts["collections"] += 1

        @rule()
        def time_goes_by(self) -> None:
            made.store.expire_leases()

        @rule()
        def crash(self) -> None:
            made.service.kill()
            made.service.start()
            counts["SIGKILLs between steps"] += 1

        @rule(target=things, data=_CONTENTS, key=_KEYS, at=st.integers(1, 20))
        def crash_in_a_put(self, data: bytes, key: str, at: int) -> Any:
            former = self.holder(key)
            made.points.arm(Act.KILL, at)
            answer = made.service.call("PUT", self.by_key(key), data)
            made.points.disarm()
            if answer is None:
                made.service.kill()
                made.service.start()
                counts["SIGKILLs within steps"] += 1
                return self.find_out(former, data, key)
            self.expect(answer[0] in {200, 201}, f"PUT answers {answer[0]}")
            if former is not None:
                self.known[former].is_there = False
            return self.add(answer[1], data, key)

        def find_out(self, former: str | None, data: bytes, key: str) -> Any:
            """Who holds the key now: unacknowledged means either."""
            holder = [each for each in self.listed() if each["key"] == key]
            if not holder:
                self.expect(former is None, "a PUT that died has taken the key's object away")
                return multiple()
            found = holder[0]["id"]
            if found == former:
                return multiple()
            if former is not None:
                self.known[former].is_there = False
            self.known[found] = _Thing(data, key)
            return found

        # -- how ----------------------------------------------------------------------------

        def by_key(self, key: str) -> str:
            return f"/v1/objects/by-key/{self.namespace}/t/{quote(key, safe='/')}"

        def listed(self) -> list[Any]:
            target = f"/v1/objects?tenant_id=t&namespace={self.namespace}&limit=1000"
            status, body = self.ask("GET", target)
            self.expect(status == 200, f"a listing answers {status}")
            items: list[Any] = json.loads(body)["objects"]
            return items

        def holder(self, key: str) -> str | None:
            held = [n for n, each in self.known.items() if each.key == key and each.is_there]
            return held[0] if held else None

        def add(self, document: bytes, data: bytes, key: str | None) -> str:
            name: str = json.loads(document)["id"]
            self.known[name] = _Thing(data, key, json.loads(document)["storage_class"])
            return name

        def patch(self, which: str, change: Any) -> Answer:
            target = f"/v1/objects/{which}?tenant_id=t"
            return self.ask("PATCH", target, json.dumps(change).encode(), headers=PATCH)

        def ask(self, method: str, target: str, body: bytes | None = None, **more: Any) -> Answer:
            counts["steps"] += 1
            answer = made.service.call(method, target, body, **more)
            if answer is None:
                raise Broken(f"no answer from a server that runs: {made.logged()}")
            return answer

        def expect(self, holds: bool, otherwise: str) -> None:
            if not holds:
                raise Broken(otherwise)

        @invariant()
        def it_is_ready(self) -> None:
            assert made.service.child is not None
            self.expect(made.service.child.is_running, "the server has ended by itself")

        def teardown(self) -> None:
            settle(made.store)
            for name, thing in getattr(self, "known", {}).items():
                status, body = made.service.read(name)
                self.expect(status == (200 if thing.is_there else 404), f"{name}: {status}")
                self.expect(status == 404 or body == thing.data, f"{name}: other bytes")
                if thing.is_there:
                    made.service.call("DELETE", f"/v1/objects/{name}?tenant_id=t")

    return Machine


def _rounds(run: Run, kind: str, *, until_left_s: float) -> Iterator[int]:
    """While there is time, or as many as a complete pass has."""
    if run.is_complete:
        rounds = range(WALKS // len(STORES) // _WALKS_OF_A_ROUND)
        yield from run.each(rounds, lambda number: f"round {number} of walks on {kind}")
    else:
        yield from takewhile(lambda _: run.left_s > until_left_s, count())


def run(run: Run) -> Counts:
    """Walk on each store for its share of the time."""
    counts = run.counts
    numbers = count(1)
    for place, kind in enumerate(run.stores):
        until_left_s = run.until_left_s(place)
        with rig(run, kind) as made:
            for _ in _rounds(run, kind, until_left_s=until_left_s):
                machine = hypothesis.seed(run.chance.randrange(2**32))(
                    _machine(made, counts, numbers)
                )
                run_state_machine_as_test(  # type: ignore[no-untyped-call]
                    machine,
                    settings=settings(
                        max_examples=_WALKS_OF_A_ROUND,
                        stateful_step_count=STEPS,
                        deadline=None,
                        database=None,
                        phases=[Phase.generate, Phase.shrink],
                        suppress_health_check=list(HealthCheck),
                    ),
                )
    return counts
