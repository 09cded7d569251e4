"""Asking a service whose database comes and goes."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["KEY", "OBJECTS", "Answer", "ask", "is_unavailable", "until"]

KEY = "the-key-of-these-tests-only"
OBJECTS = "/v1/objects/by-key/ns/acme"

_PATIENCE_S = 60.0


class Answer(NamedTuple):
    """What came back, and how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float

    @property
    def problem(self) -> Any:
        """The problem document."""
        assert self.headers["content-type"] == "application/problem+json", self
        return json.loads(self.body)


def ask(server: Any, method: str, target: str, body: bytes | None = None) -> Answer:
    """One request on a connection of its own."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(*server.address, timeout=_PATIENCE_S)
    try:
        connection.request(method, target, body=body, headers={"Authorization": f"ApiKey {KEY}"})
        response = connection.getresponse()
        content = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, content, time.monotonic() - began)
    finally:
        connection.close()


def is_unavailable(answer: Answer, *, has_body: bool = True) -> bool:
    """Whether it is 503 `unavailable` with a time to come back, and says nothing of the inside."""
    return (
        answer.status == 503
        and int(answer.headers["retry-after"]) >= 1
        and (not has_body or answer.problem["code"] == "unavailable")
        and b"postgres" not in answer.body
    )


def until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Ask again and again until it holds; how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}"
    return time.monotonic() - began
