"""The plugin `blake3`: what JustStorage imports to list it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from juststorage.plugins import HasherBackend, OpenContext, hookimpl
from juststorage.ports import Hasher

__all__ = ["BLAKE3", "Blake3Options"]


class Blake3Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of `blake3`."""

    threads: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=64,
            description="Threads for one upload. More than 1 helps few uploads and hurts many.",
        ),
    ] = 1


@asynccontextmanager
async def _open(options: Blake3Options, context: OpenContext) -> AsyncIterator[Hasher]:
    from juststorage_blake3._hasher import Blake3Hasher

    yield Blake3Hasher(options.threads)


BLAKE3 = HasherBackend(
    name="blake3",
    summary="BLAKE3, which is faster than SHA-256 where the processor has no SHA instructions",
    options=Blake3Options,
    open=_open,
)


@hookimpl
def juststorage_hashers() -> Iterable[HasherBackend[Blake3Options]]:
    """The hashers of this plugin."""
    yield BLAKE3
