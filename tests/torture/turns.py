"""One upload in turns, as `/v1/uploads` takes it, and what must be true of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from typing import Protocol

from tests.torture.journal import Answer, Broken

__all__ = ["Turns"]


class Send(Protocol):
    """Sends a request."""

    def __call__(
        self, method: str, target: str, body: bytes | None = None, *, headers: Mapping[str, str]
    ) -> tuple[Answer, Message] | None:
        """Answer and header; None where the connection ended without a whole answer."""


class Turns:
    """One upload: the half of its bytes, and then the rest.

    Args:
        data: All of them.
        query: Of the object that they are to become.
        send: Sends a request.
        may_expire: Whether its lease may end meanwhile, so that it is gone.
    """

    def __init__(self, data: bytes, query: str, send: Send, *, may_expire: bool = False) -> None:
        self.data = data
        self.kept_bytes = 0
        """Of which it was told that they are safe."""
        self._query = query
        self._send = send
        self._may_expire = may_expire
        self._url = ""
        self._is_known = True

    def step(self) -> Answer | None:
        """The next request, and its answer; of the last one the object's document.

        Whoever did not hear how the last one ended asks first, and sends nothing where that is
        not answered either: bytes may have been kept.

        Raises:
            Broken: It says something else than what is true.
        """
        if not self._is_known:
            told = self.ask()
            if told is None or told[0] not in {200, 404}:
                return told
        return self._patch() if self._url else self._begin()

    def ask(self) -> Answer | None:
        """How far it is, after an answer was lost. 404: it is begun anew by the next step.

        Raises:
            Broken: Bytes are gone of which it was told that they are safe.
        """
        exchanged = self._send("HEAD", self._url, headers={})
        if exchanged is None:
            return None
        answer, header = exchanged
        if answer[0] == 200:
            offset = int(header["Upload-Offset"])
            if not self.kept_bytes <= offset <= len(self.data):
                raise Broken(f"{self.kept_bytes} bytes were kept, and it goes on at {offset}")
            self.kept_bytes, self._is_known = offset, True
        elif answer[0] == 404:
            if self.kept_bytes and not self._may_expire:
                raise Broken(f"{self.kept_bytes} bytes of an upload were kept, and it is gone")
            self._end()
        return answer

    def may_be_gone(self) -> None:
        """From now on somebody ends leases: ask before the next turn, and begin anew on 404."""
        self._may_expire, self._is_known = True, not self._url

    def _begin(self) -> Answer | None:
        length = {"Upload-Length": str(len(self.data))}
        exchanged = self._send("POST", f"/v1/uploads?{self._query}", headers=length)
        if exchanged is None:
            return None
        answer, header = exchanged
        if answer[0] == 201:
            self._url = header["Location"]
        return answer

    def _patch(self) -> Answer | None:
        start, half = self.kept_bytes, len(self.data) // 2
        end = half if start < half else len(self.data)
        header = {
            "Content-Type": "application/offset+octet-stream",
            "Prefer": "return=representation",
            "Upload-Offset": str(start),
        }
        self._is_known = False
        exchanged = self._send("PATCH", self._url, self.data[start:end], headers=header)
        if exchanged is None:
            return None
        answer, told = exchanged
        if answer[0] in {200, 204}:
            if int(told["Upload-Offset"]) != end or (answer[0] == 200) is not (
                end == len(self.data)
            ):
                raise Broken(f"{end} bytes were sent, and {answer[0]} says {told}")
            self.kept_bytes, self._is_known = end, True
        if answer[0] == 200:
            self._end()
        return answer

    def _end(self) -> None:
        self._url, self.kept_bytes, self._is_known = "", 0, True
