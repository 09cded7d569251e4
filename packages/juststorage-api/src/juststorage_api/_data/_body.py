"""A request's body as it arrives: counted against what was announced, cut off when it stalls."""

from __future__ import annotations

import asyncio

from juststorage.errors import Invalid, TooSlow
from juststorage_api._exchange import ClientGone, Exchange

__all__ = ["RequestBody", "read_whole"]


class RequestBody:
    """The body in chunks, none of them empty. An async iterator, used once.

    Raises (while iterating):
        Invalid: The body is longer or shorter than Content-Length, or the connection ended first.
        ClientGone: The request has been answered already.
    """

    __slots__ = ("_exchange", "_length")

    def __init__(self, exchange: Exchange, length: int | None) -> None:
        self._exchange = exchange
        self._length = length

    def __aiter__(self) -> RequestBody:
        return self

    async def __anext__(self) -> bytes:
        exchange = self._exchange
        if exchange.started:
            raise ClientGone  # it took too long to get here, and the client was told so
        while not exchange.body_done:
            exchange.body_asked = True
            message = await exchange.receive()
            if message["type"] != "http.request":
                # Half-closed or gone: who only stopped sending can still read the answer.
                exchange.body_done = True
                raise Invalid("the connection ended before the body did")
            chunk: bytes = message.get("body", b"")
            exchange.received_bytes += len(chunk)
            self._check(is_last=not message.get("more_body", False))
            if chunk:
                return chunk
        raise StopAsyncIteration

    def _check(self, *, is_last: bool) -> None:
        exchange = self._exchange
        length = self._length
        if length is None:
            exchange.body_done = is_last
            return
        if exchange.received_bytes > length:
            raise Invalid("the body is longer than Content-Length")
        if exchange.received_bytes == length:
            exchange.body_done = True
        elif is_last:
            exchange.body_done = True
            raise Invalid("the body is shorter than Content-Length")


async def read_whole(exchange: Exchange, length: int, timeout_s: float) -> bytes:
    """A small body of known length.

    Raises:
        TooSlow: It was not complete within `timeout_s`.
        Invalid: As `RequestBody`.
    """
    if length == 0:
        exchange.body_done = True
        return b""
    body = RequestBody(exchange, length)
    try:
        # No scope of anyio's: it costs three times as much, and is felt in a small upload.
        async with asyncio.timeout(timeout_s):
            chunks = [chunk async for chunk in body]
    except TimeoutError:
        raise TooSlow(f"the body was not complete within {timeout_s:g} s") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
