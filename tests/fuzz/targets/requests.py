"""Whole requests to the whole service, in process, on SQLite: what no parser alone would show.

Whoever asks gets an answer, and none that is the service's own fault. A refusal is a problem
document with a code of the contract.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from juststorage_api._http.problem import PROBLEMS
from juststorage_api.testing import InProcess, open_in_process
from juststorage_sqlite import plugin as sqlite
from tests.fuzz.fuzzing import Read, Target
from tests.fuzz.inputs import bytes_near, json_near

__all__ = ["TARGETS"]

_ID = "0190163d-8694-739b-aea5-966c26f8ad91"
_HASH = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

Request = tuple[str, bytes, bytes, list[tuple[bytes, bytes]], bytes]
"""Method, path, query, header fields, body."""


class _Failures(logging.Handler):
    """What the service logs as its own failure."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.last = record.exc_info[1]


class _Service:
    """A service that runs while its event loop does, and answers one request after the other."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self._runner = runner
        self._folder = folder
        self._ending = asyncio.Event()
        self.failures = _Failures()

    async def start(self) -> None:
        """Start it, as a task that goes on when this has returned."""
        opened: asyncio.Future[InProcess] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(opened))
        await asyncio.wait([self._task, opened], return_when=asyncio.FIRST_COMPLETED)
        self._opened = opened.result()
        async with self._opened.client() as client:
            answer = await client.put("/v1/objects/by-key/docs/acme/a", content=b"hello")
            assert answer.status_code == 201, answer.text
            self.object_id: str = answer.json()["id"]
            asked = {"name": "n", "tenants": ["acme"], "scopes": ["objects:read"]}
            answer = await client.post("/v1/api-keys", json=asked)
            self.key_id: str = answer.json()["id"]

    async def _live(self, opened: asyncio.Future[InProcess]) -> None:
        config = {
            "data_dir": str(self._folder),
            "metadata": {"backend": "sqlite"},
            "gc": {"enabled": False},
        }
        async with open_in_process(config, plugins=[sqlite]) as service:
            opened.set_result(service)
            await self._ending.wait()

    async def stop(self) -> None:
        """End it."""
        self._ending.set()
        await self._task

    def ask(self, request: Request) -> tuple[int, bytes]:
        """Status and body of the answer."""
        return self._runner.run(self._ask(request))

    async def _ask(self, request: Request) -> tuple[int, bytes]:
        method, path, query, headers, body = request
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path.decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [(b"host", b"x"), (b"x-api-key", self._opened.admin_key.encode()), *headers],
            "server": ("x", 80),
            "client": ("127.0.0.1", 1),
            "state": {},
        }
        messages = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
        answers: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0) if len(messages) > 1 else messages[0]

        async def send(message: Any) -> None:
            answers.append(dict(message))

        self.failures.last = None
        await self._opened.application(scope, receive, send)
        if not answers:
            return 0, b""  # the body broke off: the client is gone, and is told nothing
        return answers[0]["status"], b"".join(each.get("body", b"") for each in answers)


@contextmanager
def _opened() -> Iterator[tuple[_Service, str, str]]:
    logger = logging.getLogger("juststorage")
    with (
        tempfile.TemporaryDirectory(prefix="juststorage-fuzz-") as folder,
        asyncio.Runner() as runner,
    ):
        service = _Service(runner, Path(folder))
        propagate, logger.propagate = logger.propagate, False
        logger.addHandler(service.failures)
        try:
            runner.run(service.start())
            yield service, service.object_id, service.key_id
            runner.run(service.stop())
        finally:
            logger.removeHandler(service.failures)
            logger.propagate = propagate


def _judge(service: _Service, request: Request) -> str:
    status, body = service.ask(request)
    if status >= 500:
        failure = service.failures.last
        raise AssertionError(f"the answer is {status}: {body[:300]!r}") from failure
    if status < 400:
        return f"answered {status}"
    if request[0] != "HEAD":
        assert json.loads(body)["code"] in PROBLEMS, body
    return f"refused {status}"


# -- JSON bodies ------------------------------------------------------------------------------

_JSON = b"application/json"
_MERGE_PATCH = b"application/merge-patch+json"
_TIMES = ("2026-11-25T00:00:00Z", "9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59",
          "2027-11-25T00:00:00.5+00:30", "2026-11-25T00:00:00")  # fmt: skip
_ROUTES = {
    "search": ("POST", b"/v1/objects/search", _JSON),
    "change": ("PATCH", b"/v1/objects/{id}", _MERGE_PATCH),
    "copy": ("POST", b"/v1/objects/{id}/copy", _JSON),
    "delete": ("POST", b"/v1/objects/delete", _JSON),
    "create key": ("POST", b"/v1/api-keys", _JSON),
    "change key": ("PATCH", b"/v1/api-keys/{key id}", _MERGE_PATCH),
    "read-only": ("POST", b"/v1/admin/read-only", _JSON),
}
_GOOD: dict[str, list[Any]] = {
    "search": [
        {"tenant_id": "acme", "key_prefix": "a", "key_contains": "b", "sort_by": "key", "limit": 5},
        {"tenant_id": "acme", "metadata": {"a.b": 1.5}, "created_at_range": {"from": _TIMES[0]}},
        {"tenant_id": "acme", "size_range": {"min": 0, "max": 9}, "content_type": "text/*"},
        {"tenant_id": "acme", "namespace": "docs", "content_hash": _HASH, "storage_class": "hot"},
    ],
    "change": [
        {"metadata": {"a": {"b": [None, 1]}}, "content_type": "a/b", "key": "a"},
        {"metadata": None, "storage_class": "hot"},
    ],
    "copy": [{"key": None, "namespace": "docs", "storage_class": "hot"}],
    "delete": [{"ids": [_ID], "tenant_id": "acme"}],
    "create key": [
        {"name": "n", "tenants": ["acme"], "scopes": ["objects:read"], "namespaces": ["a*"],
         "expires_at": _TIMES[3]},
    ],
    "change key": [{"name": "n", "scopes": ["admin"], "expires_at": None, "is_active": True}],
    "read-only": [{"enabled": True}],
}  # fmt: skip


@contextmanager
def _body_opened() -> Iterator[Read]:
    with _opened() as (service, object_id, key_id):

        def read(value: tuple[str, bytes]) -> str | None:
            route, body = value
            method, path, media_type = _ROUTES[route]
            path = path.replace(b"{id}", object_id.encode()).replace(b"{key id}", key_id.encode())
            word = _judge(service, (method, path, b"", [(b"content-type", media_type)], body))
            if route == "read-only":
                undone: Request = (
                    method,
                    path,
                    b"",
                    [(b"content-type", _JSON)],
                    b'{"enabled":false}',
                )
                service.ask(undone)
            return word

        yield read


_WORDS = [
    *("acme", "docs", "a", "text/*", "hot", "cold", _HASH, "key", "size_bytes", "asc", "*", _ID),
    *("objects:read", "admin", ["acme"], ["objects:read"], [_ID], {"a.b": 2**63}, {"min": 2**62}),
    *(*_TIMES, *({"from": time} for time in _TIMES), *({"to": time} for time in _TIMES)),
]


def _bodies(route: str) -> st.SearchStrategy[tuple[str, bytes]]:
    names = sorted({name for good in _GOOD[route] for name in good})
    return st.tuples(st.just(route), json_near(names, _WORDS, _GOOD[route]))


_BODIES = st.sampled_from(list(_ROUTES)).flatmap(_bodies)

# -- anything ---------------------------------------------------------------------------------


@contextmanager
def _request_opened() -> Iterator[Read]:
    with _opened() as (service, object_id, _):

        def read(value: Request) -> str | None:
            method, path, query, headers, body = value
            path = path.replace(b"{id}", object_id.encode())
            return _judge(service, (method, path, query, headers, body))

        yield read


_BY_KEY = b"/v1/objects/by-key/docs/acme/a"
_GOOD_REQUESTS: list[Request] = [
    ("GET", b"/v1/objects", b"tenant_id=acme&limit=5&prefix=a", [], b""),
    ("GET", b"/v1/objects/{id}", b"tenant_id=acme", [(b"range", b"bytes=0-1,3-")], b""),
    ("GET", b"/v1/objects/{id}", b"tenant_id=acme&filename=a.txt", [(b"if-match", b"*")], b""),
    ("GET", b"/v1/objects/{id}/metadata", b"tenant_id=acme", [], b""),
    ("GET", _BY_KEY, b"", [(b"range", b"bytes=-2"), (b"if-range", b'"a"')], b""),
    ("HEAD", _BY_KEY, b"", [(b"want-content-digest", b"sha-256=10")], b""),
    ("PUT", _BY_KEY, b"storage_class=hot", [(b"content-type", b"text/plain")], b"hello"),
    ("PUT", _BY_KEY, b"", [(b"x-content-hash", _HASH.encode())], b"hello"),
    ("POST", b"/v1/objects", b"namespace=docs&tenant_id=acme", [(b"idempotency-key", b"a")], b"x"),
    ("POST", b"/v1/objects", b"namespace=docs&tenant_id=acme&key=b",
     [(b"x-object-metadata", b'{"a":1}'), (b"content-length", b"1")], b"x"),
    ("POST", b"/v1/uploads", b"namespace=docs&tenant_id=acme&key=c&replace=true",
     [(b"tus-resumable", b"1.0.0"), (b"upload-length", b"5")], b""),
    ("PATCH", b"/v1/uploads/AAAA", b"",
     [(b"content-type", b"application/offset+octet-stream"), (b"upload-offset", b"0")], b"hello"),
    ("DELETE", b"/v1/objects/by-key/docs/acme/b", b"", [], b""),
    ("GET", b"/v1/usage", b"tenant_id=acme", [], b""),
    ("GET", b"/v1/api-keys", b"limit=5", [(b"accept", b"*/*")], b""),
    ("POST", b"/v1/objects/search", b"", [(b"content-type", _JSON)], b'{"tenant_id":"acme"}'),
    ("GET", b"/health/live", b"", [], b""),
    ("GET", b"/metrics", b"", [(b"accept", b"text/plain")], b""),
]  # fmt: skip


def _parts(number: int) -> list[bytes]:
    """What the good requests have in that place."""
    return sorted({request[number] for request in _GOOD_REQUESTS})  # type: ignore[type-var]


_PATHS = bytes_near(
    _parts(1),
    [b"/", b"//", b"%", b"%2F", b"%00", b"..", b"\xff", b"?", b"v1", b"by-key/", b"{id}", b"a"],
)
_PARAMETERS = bytes_near(
    _parts(2),
    [b"&", b"=", b"%00", b"%", b"+", b"limit=0", b"limit=9999999999", b"cursor=A", b"\xff"],
)
_NAMES = b"""
    range if-match if-none-match if-range content-type content-length repr-digest x-content-hash
    x-object-metadata idempotency-key expect upload-length upload-offset tus-resumable prefer
    authorization x-request-id traceparent content-encoding transfer-encoding accept cookie origin
    want-content-digest x-forwarded-for accept-encoding
""".split()
_VALUES = bytes_near(
    [*sorted({value for request in _GOOD_REQUESTS for _, value in request[3]}),
     b"100-continue", b"chunked", b"return=representation", b"gzip",
     b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    [b",", b";", b"=", b'"', b"\xff", b"-", b" ", b"W/", b"9" * 19, b"1", b"\\u0000", b"\\ud800"],
)  # fmt: skip


def _other(good: Request, changes: tuple[Any, ...]) -> Request:
    """A good request, of which a part or two are another one's; header fields are added to it."""
    method, path, query, fields, body = (
        before if after is None else after for before, after in zip(good, changes, strict=True)
    )
    return method, path, query, [*good[3], *fields], body


_CHANGES = st.tuples(
    st.sampled_from([None] * 8 + ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "TRACE"]),
    st.none() | st.none() | _PATHS,
    st.none() | st.none() | _PARAMETERS,
    st.lists(st.tuples(st.sampled_from(_NAMES), _VALUES), max_size=2),
    st.sampled_from([None, None, b"", b"hello", b"{}", b"\xff"]),
)
_REQUESTS = st.builds(_other, st.sampled_from(_GOOD_REQUESTS), _CHANGES)

TARGETS = {
    "body": Target(_BODIES, opened=_body_opened),
    "request": Target(_REQUESTS, opened=_request_opened),
}
