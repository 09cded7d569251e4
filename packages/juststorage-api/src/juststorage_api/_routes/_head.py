"""HEAD for the open operations, which probes and proxies ask for: GET's answer without its body.

Here and not in the framework, whose HEAD handlers would answer with a Content-Length of their own.
"""

from __future__ import annotations

from typing import Final

from juststorage_api._asgi import Message, Scope, Send

__all__ = ["allowed_with_head", "as_get"]

_PATHS: Final = frozenset(
    {
        *("/health", "/health/ready", "/health/startup", "/metrics"),
        *("/schema", "/schema/openapi.json", "/schema/reference.css"),
    }
)


def as_get(scope: Scope, send: Send) -> tuple[Scope, Send]:
    """What to call the framework with: for HEAD on one of these paths, GET whose body is lost.

    OPTIONS becomes a method that no route has, and hence 405 with Allow as everywhere.
    """
    if scope["method"] == "OPTIONS":
        return {**scope, "method": "NONE"}, send
    if scope["method"] != "HEAD" or scope["path"] not in _PATHS:
        return scope, send

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return {**scope, "method": "GET"}, send_head


def allowed_with_head(scope: Scope, allowed: str) -> str:
    """The value of Allow: with HEAD, which the framework does not know of, and without OPTIONS."""
    methods = [each for each in allowed.split(", ") if each not in {"", "OPTIONS"}]
    if scope["path"] in _PATHS and "GET" in methods:
        methods.append("HEAD")
    return ", ".join(methods)
