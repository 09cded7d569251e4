"""Rules of uploads in turns (`/v1/uploads`)."""

from __future__ import annotations

import json
from email.message import Message
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from tests.torture.journal import Answer
from tests.torture.model.state import FIRST_LEASE_S, RESUMABLE_FOR_S, Thing, Upload, holds
from tests.torture.model.walker import CLASSES, CONTENTS, KEYS, Walker, things, turns

__all__ = ["Turning", "adding_at"]

_SHARES = st.sampled_from([0.0, 0.5, 1.0])
"""Of what is left, in one request."""


class Turning(Walker):
    """An upload is begun, asked about, added to, sent to a wrong place, given up."""

    @rule(
        target=turns,
        data=CONTENTS,
        key=st.none() | KEYS,
        replaces=st.booleans(),
        is_first=st.booleans(),
        storage_class=CLASSES,
    )
    def begin_turns(
        self, data: bytes, key: str | None, replaces: bool, is_first: bool, storage_class: str
    ) -> Any:
        """POST: one that does not replace claims its key."""
        model = self.model
        replaces = replaces and key is not None
        condition = ("If-None-Match", "*") if is_first else None
        headers = {"Upload-Length": str(len(data)), **dict([condition] if condition else [])}
        query = self.placed(
            key=key, storage_class=storage_class, replace="true" if replaces else None
        )
        answer, told = self.exchange("POST", f"/v1/uploads?{query}", None, headers)
        may = key is None or holds(condition, model.current(key))
        expected = 412 if not may else 409 if model.is_taken(key) and not replaces else 201
        self.expect_status(f"beginning an upload of {key}", answer, expected)
        if expected != 201:
            return multiple()
        claims_key = key is not None and not replaces
        if claims_key:
            model.take_key(key)
        path = told["Location"]
        model.uploads[path] = Upload(
            data,
            key,
            replaces,
            storage_class,
            condition if replaces else None,
            next(model.births),
            model.now_s + FIRST_LEASE_S,
            claims_key=claims_key,
        )
        return path

    @rule(which=turns)
    def ask_about_turns(self, which: str) -> None:
        """HEAD: how far it is, or what became of it."""
        self.look(which)

    @rule(target=things, which=turns, share=_SHARES)
    def add_to_turns(self, which: str, share: float) -> Any:
        """PATCH where it goes on; the last one makes the object."""
        upload = self.model.uploads[which]
        rest = len(upload.data) - upload.kept_bytes
        return self.send(which, upload.kept_bytes + int(rest * share))

    @rule(which=turns)
    def add_to_a_wrong_place(self, which: str) -> None:
        """PATCH beyond the end, or where it does not go on: nothing of it is taken."""
        upload = self.model.uploads[which]
        wrong = upload.kept_bytes + 1
        answer, _ = self.patch(which, wrong, b"")
        if wrong > len(upload.data):
            expected = 413
        elif upload.is_alive or self.is_told(upload):
            expected = 409
        else:
            expected = 404
        self.expect_status(f"PATCH at {wrong} of {upload}", answer, expected)

    @rule(which=turns)
    def give_turns_up(self, which: str) -> None:
        """DELETE."""
        upload = self.model.uploads[which]
        answer = self.ask("DELETE", which)
        self.expect_status("giving up", answer, 204 if upload.is_alive else 404)
        upload.is_alive = False

    # -- how ------------------------------------------------------------------------------------

    def is_told(self, upload: Upload) -> bool:
        """Whether it is told what became of it: for a while, and while the object is there."""
        name = upload.object_id
        if name is None:
            return False
        return self.model.now_s < upload.told_until_s or self.model.things[name].is_there

    def refusal(self, upload: Upload) -> int | None:
        """What its last bytes are refused with: it has lost its key, or its condition fails."""
        if upload.key is None:
            return None
        if upload.replaces:
            return None if holds(upload.condition, self.model.current(upload.key)) else 412
        return None if upload.claims_key else 409

    def look(self, which: str) -> None:
        """Ask about an upload, and compare."""
        upload = self.model.uploads[which]
        answer, told = self.exchange("HEAD", which)
        is_told = self.is_told(upload)
        expected = 200 if upload.is_alive or is_told else 404
        self.expect_status(f"HEAD of {upload}", answer, expected)
        if expected == 404:
            return
        offset = len(upload.data) if is_told else upload.kept_bytes
        self.expect(int(told["Upload-Offset"]) == offset, f"it is at {offset}: {told}")
        self.expect(told["X-Object-Id"] == upload.object_id, f"it became {upload.object_id}")

    def patch(self, which: str, at: int, data: bytes) -> tuple[Answer, Message]:
        """A request that adds to it."""
        return self.exchange("PATCH", which, data, adding_at(at))

    def send(self, which: str, end: int) -> Any:
        """Add what is between the bytes that were kept and `end`, and compare."""
        upload = self.model.uploads[which]
        start = upload.kept_bytes
        answer, told = self.patch(which, start, upload.data[start:end])
        if upload.is_alive:
            return self.judge(upload, end, answer, told)
        expected = 404
        if self.is_told(upload):
            expected = 200 if start == len(upload.data) else 409
        self.expect_status(f"PATCH of {upload}", answer, expected)
        if expected == 200:
            name = json.loads(answer[1])["id"]
            self.expect(name == upload.object_id, f"{name}, not {upload.object_id}")
        return multiple()

    def judge(self, upload: Upload, end: int, answer: Answer, told: Message) -> Any:
        """What was answered to bytes up to `end` of an upload that is alive."""
        model = self.model
        if end < len(upload.data):
            self.expect_status(f"PATCH of {upload}", answer, 204)
            self.expect(int(told["Upload-Offset"]) == end, f"{end} bytes were sent: {told}")
            upload.kept_bytes = end
            lease_s = RESUMABLE_FOR_S if end else FIRST_LEASE_S
            upload.lease_until_s = model.now_s + lease_s
            return multiple()
        upload.is_alive = False
        blob = upload.data, upload.storage_class
        refusal = self.refusal(upload)
        if refusal is not None:
            self.expect_status(f"the last PATCH of {upload}", answer, refusal)
            model.let_go(blob)
            return multiple()
        if upload.replaces:
            model.displace(upload.key)
        self.expect_status(f"the last PATCH of {upload}", answer, 200)
        upload.kept_bytes = end
        thing = Thing(upload.data, upload.key, upload.born, upload.storage_class)
        upload.object_id = self.add(answer[1], thing)
        upload.told_until_s = model.now_s + RESUMABLE_FOR_S
        return upload.object_id


def adding_at(offset: int) -> dict[str, str]:
    """The header of a request that adds bytes there."""
    return {
        "Content-Type": "application/offset+octet-stream",
        "Prefer": "return=representation",
        "Upload-Offset": str(offset),
    }
