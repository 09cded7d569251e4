"""An upload in turns whose answers are lost: what was kept is asked for before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message

import pytest

from tests.torture.journal import Answer, Broken
from tests.torture.turns import Turns

DATA = b"0-"


class _Lossy:
    """Keeps what it gets, and loses the answers of some requests, by their place."""

    def __init__(self, *lost: int) -> None:
        self.kept = b""
        self.asked: list[str] = []
        self._lost = lost
        self._is_there = False

    def forget(self) -> None:
        """The upload expires."""
        self.kept, self._is_there = b"", False

    def __call__(
        self, method: str, target: str, body: bytes | None = None, *, headers: Mapping[str, str]
    ) -> tuple[Answer, Message] | None:
        answer = self._answer(method, body, headers)
        self.asked.append(method)
        return None if len(self.asked) in self._lost else answer

    def _answer(
        self, method: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Answer, Message]:
        header = Message()
        header["Location"] = "/v1/uploads/u"
        status = {"POST": 201, "HEAD": 200, "PATCH": 204}[method]
        self._is_there = self._is_there or method == "POST"
        if not self._is_there:
            return (404, b""), header
        if method == "PATCH":
            if int(headers["Upload-Offset"]) != len(self.kept):
                return (409, b"offset_mismatch"), header
            self.kept += body or b""
            status = 200 if self.kept == DATA else 204
        header["Upload-Offset"] = str(len(self.kept))
        return (status, b""), header


def test_bytes_that_were_kept_are_not_sent_again() -> None:
    """Neither the answer to the first half was heard, nor that to the question how far it is."""
    server = _Lossy(2, 3)
    turns = Turns(DATA, "", server)
    answers = [turns.step() for _ in range(4)]
    assert [answer and answer[0] for answer in answers] == [201, None, None, 200]
    assert server.asked == ["POST", "PATCH", "HEAD", "HEAD", "PATCH"]
    assert server.kept == DATA


def test_whoever_heard_every_answer_asks_nothing() -> None:
    """A question costs a request, and would hide what the answers said."""
    server = _Lossy()
    turns = Turns(DATA, "", server)
    answers = [turns.step() for _ in range(3)]
    assert [answer and answer[0] for answer in answers] == [201, 204, 200]
    assert server.asked == ["POST", "PATCH", "PATCH"]


@pytest.mark.parametrize("may_expire", [False, True])
def test_kept_bytes_that_are_gone_are_a_loss_unless_they_may_expire(may_expire: bool) -> None:
    """And what has expired is begun anew."""

    def gone(
        method: str, target: str, body: bytes | None = None, *, headers: Mapping[str, str]
    ) -> tuple[Answer, Message] | None:
        return (
            ((404, b""), Message())
            if method == "HEAD"
            else server(method, target, body, headers=headers)
        )

    server = _Lossy()
    turns = Turns(DATA, "", gone, may_expire=may_expire)
    for _ in range(2):
        turns.step()
    if not may_expire:
        with pytest.raises(Broken, match="1 bytes of an upload were kept"):
            turns.ask()
    else:
        assert turns.ask() is not None
        turns.step()
        assert server.asked == ["POST", "PATCH", "POST"]


def test_who_ends_leases_says_so_before_the_next_turn() -> None:
    """It is asked for then, and goes on where it lives, or is begun anew where it does not."""
    for is_gone in (False, True):
        server = _Lossy()
        turns = Turns(DATA, "", server)
        turns.step()
        turns.step()
        turns.may_be_gone()
        if is_gone:
            server.forget()
        answer = turns.step()
        assert answer is not None
        again = ["HEAD", "POST"] if is_gone else ["HEAD", "PATCH"]
        assert server.asked == ["POST", "PATCH", *again]
        assert answer[0] == (201 if is_gone else 200)
