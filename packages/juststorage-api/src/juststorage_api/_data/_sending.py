"""Content on its way out: whole, one part of it, or several."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from secrets import token_hex
from typing import Final, TypeAlias

import anyio

from juststorage.ports import BlobReader
from juststorage_api._exchange import ClientGone, Exchange
from juststorage_api._http.problem import Headers
from juststorage_api._http.ranges import Span

__all__ = ["send_part", "send_parts", "send_pieces"]

_INLINE_BYTES_MAX: Final = 256 * 1024
"""Parts up to this, together, go out in one piece when they can be had without waiting."""

Piece: TypeAlias = bytes | Span
"""Something to send: these bytes, or those of the blob."""


async def send_part(exchange: Exchange, reader: BlobReader, headers: Headers, span: Span) -> None:
    """206 with one range."""
    headers.append((b"content-length", b"%d" % span.length))
    headers.append((b"content-range", _content_range(span, reader.size_bytes)))
    await _send(exchange, reader, headers, [span], span.length)


async def send_parts(
    exchange: Exchange,
    reader: BlobReader,
    headers: Headers,
    spans: Sequence[Span],
    content_type: bytes,
) -> None:
    """206 with several ranges, as `multipart/byteranges` (RFC 9110, 14.6).

    Args:
        exchange: Whom to answer.
        reader: The content.
        headers: What else the head says; no Content-Type, which is that of the parts.
        spans: The ranges, at least two, in the order in which they go out.
        content_type: That of the content.
    """
    # Nobody can store bytes today that have the boundary of tomorrow's answer in them.
    boundary = token_hex(16).encode()
    pieces: list[Piece] = []
    for span in spans:
        pieces.append(
            b"%b--%b\r\ncontent-type: %b\r\ncontent-range: %b\r\n\r\n"
            % (
                b"\r\n" if pieces else b"",
                boundary,
                content_type,
                _content_range(span, reader.size_bytes),
            )
        )
        pieces.append(span)
    pieces.append(b"\r\n--%b--\r\n" % boundary)
    size = sum(piece.length if isinstance(piece, Span) else len(piece) for piece in pieces)
    headers.append((b"content-type", b"multipart/byteranges; boundary=" + boundary))
    headers.append((b"content-length", b"%d" % size))
    await _send(exchange, reader, headers, pieces, size)


def _content_range(span: Span, size_bytes: int) -> bytes:
    return b"bytes %d-%d/%d" % (span.start, span.start + span.length - 1, size_bytes)


async def _send(
    exchange: Exchange,
    reader: BlobReader,
    headers: Headers,
    pieces: Sequence[Piece],
    size: int,
) -> None:
    data = _at_hand(reader, pieces) if size <= _INLINE_BYTES_MAX else None
    await exchange.start(206, headers)
    if data is not None:
        await exchange.send_body(data, more=False)
    else:
        async with aclosing(_read(reader, pieces)) as read:
            await send_pieces(exchange, read)


def _at_hand(reader: BlobReader, pieces: Sequence[Piece]) -> bytes | None:
    """All of it, where none of it has to be waited for."""
    read: list[bytes] = []
    for piece in pieces:
        data = reader.read_now(piece.start, piece.length) if isinstance(piece, Span) else piece
        if data is None:
            return None
        read.append(data)
    return b"".join(read)


async def _read(reader: BlobReader, pieces: Sequence[Piece]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        async for chunk in reader.chunks(piece.start, piece.length):
            yield chunk


async def send_pieces(exchange: Exchange, pieces: AsyncIterator[bytes]) -> None:
    """Send bytes as they are read, until they end or the client has gone.

    Servers drop silently what is sent to a client that has gone, hence the look-out: without it the
    rest of a large body would be read for nobody.
    """
    is_gone = False

    async def look_out() -> None:
        nonlocal is_gone
        while True:
            message = await exchange.receive()
            if message["type"] == "http.disconnect":
                is_gone = True
                tasks.cancel_scope.cancel()
                return

    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look_out)
        try:
            async for piece in pieces:
                await exchange.send_body(piece, more=True)
            await exchange.send_body(b"", more=False)
        except Exception as error:  # noqa: BLE001  raised below: the group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if is_gone:
        raise ClientGone
