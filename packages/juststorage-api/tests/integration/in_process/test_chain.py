"""The chain of authenticators, in the whole application."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from juststorage.runtime import Runtime, open_runtime

KEY = "k" * 32
CONFIG: dict[str, Any] = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}},
    "auth": {
        "chain": ["trusted_header", "api_key", "anonymous"],
        "api_key": {"bootstrap_key": KEY},
        "anonymous": {"tenants": ["hub"], "namespaces": ["public-*"]},
        "trusted_header": {"peers": ["10.0.0.0/8"]},
    },
}
PUBLIC, HIDDEN = "/v1/objects/by-key/public-a/hub/k", "/v1/objects/by-key/private/hub/k"
FOREIGN = "/v1/objects/by-key/public-a/other/k"


def opened(config: dict[str, Any]) -> Callable[[], Any]:
    """Opens a service as configured."""

    @asynccontextmanager
    async def open_it() -> AsyncIterator[Runtime]:
        async with open_runtime(config) as runtime:
            yield runtime

    return open_it


class Client:
    """Calls with any credential, or with none."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(
        self, method: str, url: str, *, peer: str = "192.0.2.1", body: bytes = b"", **fields: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        path, _, query = url.partition("?")
        sent: list[dict[str, Any]] = []
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return pending.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        headers |= {"host": "x", "content-length": str(len(body))}
        await self._application(
            {
                "type": "http",
                "http_version": "1.1",
                "method": method,
                "path": path,
                "raw_path": path.encode(),
                "query_string": query.encode(),
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
                "client": (peer, 1234),
            },
            receive,
            send,
        )
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], answered, b"".join(each.get("body", b"") for each in sent[1:])


@pytest.fixture
async def call(started: Callable[..., Any]) -> AsyncIterator[Client]:
    """A service with public namespaces, and one object in each place."""
    async with started(opened(CONFIG)) as application:
        client = Client(application.application)
        for url in (PUBLIC, HIDDEN, FOREIGN):
            status, _, _ = await client("PUT", url, body=b"hello", x_api_key=KEY)
            assert status == 201
        yield client


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PUT", PUBLIC),
        ("DELETE", PUBLIC),
        ("GET", HIDDEN),
        ("PUT", HIDDEN),
        ("GET", FOREIGN),
        ("GET", "/v1/objects?tenant_id=other"),
        ("GET", "/v1/objects?namespace=private"),
        ("POST", "/v1/objects?namespace=public-a"),
        ("GET", "/v1/api-keys"),
        ("POST", "/v1/api-keys"),
    ],
)
async def test_anonymous_may_do_nothing_else(call: Client, method: str, url: str) -> None:
    """Beyond reading what is public it is asked for a credential: 401."""
    status, headers, body = await call(method, url, body=b"x" if method != "GET" else b"")
    assert status == 401
    assert headers["www-authenticate"] == 'ApiKey realm="juststorage"'
    assert json.loads(body)["code"] == "unauthenticated"


async def test_a_bad_credential_is_not_anonymous(call: Client) -> None:
    """It is refused, also for what anybody may read."""
    for fields in (
        {"x_api_key": "z" * 32},
        {"authorization": "ApiKey " + "z" * 32},
        {"authorization": "Bearer x.y.z"},
        {"authorization": "Basic eDp5"},
        {"authorization": ""},
    ):
        status, _, _ = await call("GET", PUBLIC, **fields)
        assert status == 401


async def test_anonymous_reads_what_is_public(call: Client) -> None:
    """By key, by id, and in lists; an id elsewhere is like none."""
    status, headers, body = await call("GET", PUBLIC)
    assert (status, body) == (200, b"hello")
    assert (await call("GET", f"/v1/objects/{headers['x-object-id']}"))[0] == 200
    listed = json.loads((await call("GET", "/v1/objects"))[2])["objects"]
    assert [each["namespace"] for each in listed] == ["public-a"]
    _, hidden, _ = await call("GET", HIDDEN, x_api_key=KEY)
    assert (await call("GET", f"/v1/objects/{hidden['x-object-id']}"))[0] == 404


async def test_a_proxy_says_who_is_calling(call: Client) -> None:
    """One that is trusted; from anyone else the fields mean nothing."""
    fields = {"x_auth_subject": "a", "x_auth_tenants": "hub", "x_auth_scopes": "objects:read"}
    assert (await call("GET", HIDDEN, peer="10.9.9.9", **fields))[0] == 200
    assert (await call("PUT", HIDDEN, peer="10.9.9.9", body=b"x", **fields))[0] == 403
    assert (await call("GET", HIDDEN, **fields))[0] == 401
    status, _, body = await call("GET", HIDDEN, peer="10.9.9.9", x_api_key=KEY, **fields)
    assert (status, json.loads(body)["code"]) == (400, "invalid_request")
    assert (await call("GET", HIDDEN, x_api_key=KEY, **fields))[0] == 200


@pytest.mark.parametrize(
    "chain",
    [
        ["api_key", "trusted_header"],
        ["anonymous", "api_key"],
        ["anonymous", "trusted_header"],
    ],
)
async def test_an_order_that_would_hide_something(
    started: Callable[..., Any], chain: list[str]
) -> None:
    """The service does not start, and says what the order must be."""
    config = CONFIG | {"auth": CONFIG["auth"] | {"chain": chain}}
    async with started(opened(config)) as application:
        assert application.lifespan[0]["type"] == "lifespan.startup.failed"
        assert "auth.chain" in application.lifespan[0]["message"]


async def test_nobody_is_anonymous_unless_configured(started: Callable[..., Any]) -> None:
    """Both are off by default."""
    async with started() as application:
        client = Client(application.application)
        assert (await client("GET", "/v1/objects?tenant_id=hub"))[0] == 401
        fields = {"x_auth_subject": "a", "x_auth_tenants": "*", "x_auth_scopes": "admin"}
        status, _, _ = await client("GET", "/v1/objects?tenant_id=t", peer="10.1.1.1", **fields)
        assert status == 401
