"""Whole contents: never complete before they are known to be right, and not hashed for nothing."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from juststorage.domain import BlobKey, StorageClass
from juststorage.errors import Corrupt, Unavailable
from juststorage.ports import BlobReader, Hasher
from juststorage.testing import make_content
from juststorage.usecases._verified import VerifiedContents
from juststorage.usecases._whole import verified_pieces

PIECE = 1000
DATA = bytes(range(250)) * 40
KEY = BlobKey(make_content(DATA).content_hash, StorageClass.HOT)


class Sha256(Hasher):
    """Counts the bytes that it hashes."""

    algorithm = "sha256"

    def __init__(self) -> None:
        self.hashed = 0

    def new(self) -> Any:
        import hashlib

        outer, state = self, hashlib.sha256()

        class State:
            def update(self, data: bytes) -> None:
                outer.hashed += len(data)
                state.update(data)

            def digest(self) -> bytes:
                return state.digest()

        return State()


class File:
    """A file in a simulated memory: which piece is where, and what it says of itself."""

    def __init__(self) -> None:
        self.data = DATA
        self.word: str | None = "as it was"
        self.on_medium: set[int] = set()
        self.fails_at: int | None = None
        self.opened = 0


class Reader(BlobReader):
    """A reader of a `File`."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.size_bytes = len(DATA)
        self.from_memory = True

    def identity(self) -> str | None:
        return self.file.word

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        self.file.opened += 1
        try:
            for at in range(start, start + length, PIECE):
                await anyio.lowlevel.checkpoint()
                if at == self.file.fails_at:
                    raise Unavailable("the volume went away")
                if at in self.file.on_medium:
                    self.file.on_medium.discard(at)
                    self.from_memory = False
                yield self.file.data[at : min(at + PIECE, start + length)]
        finally:
            self.file.opened -= 1

    async def aclose(self) -> None:
        pass


class Bench:
    """One file, one memory of what was verified, and what was hashed."""

    def __init__(self) -> None:
        self.file = File()
        self.time = 0.0
        self.damages = 0.0
        self.hasher = Sha256()
        self.verified = VerifiedContents(
            lambda: self.time, for_s=60, damage_found=lambda: self.damages
        )

    async def read(self, into: list[bytes] | None = None) -> int:
        """Read the whole; how many bytes were hashed for it."""
        self.hasher.hashed = 0
        got = [] if into is None else into
        async with aclosing(
            verified_pieces(Reader(self.file), KEY, self.hasher, self.verified)
        ) as pieces:
            async for piece in pieces:
                got.append(piece)
        assert self.file.opened == 0
        assert b"".join(got) == DATA
        return self.hasher.hashed


@pytest.fixture
def bench() -> Bench:
    """A file that was never read."""
    return Bench()


@pytest.mark.parametrize("at", [0, PIECE, len(DATA) // 2, len(DATA) - 1])
async def test_a_wrong_byte_keeps_the_last_piece_back(bench: Bench, at: int) -> None:
    """Wherever it is, the content ends in an error before it is complete."""
    bench.file.data = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    got: list[bytes] = []
    with pytest.raises(Corrupt):
        await bench.read(got)
    assert sum(map(len, got)) == len(DATA) - PIECE
    bench.file.data = DATA
    assert await bench.read() == len(DATA)


async def test_what_was_verified_is_not_hashed_again(bench: Bench) -> None:
    """Unchanged and in memory, for as long as that counts and nothing else was found damaged."""
    assert await bench.read() == len(DATA)
    assert await bench.read() == 0
    bench.time = 59
    assert await bench.read() == 0
    bench.time = 60
    assert await bench.read() == len(DATA)
    assert await bench.read() == 0
    bench.damages += 1
    assert await bench.read() == len(DATA)
    assert await bench.read() == 0
    bench.verified.forget(KEY)
    assert await bench.read() == len(DATA)


@pytest.mark.parametrize("word", [None, "changed"])
async def test_another_identity_is_hashed(bench: Bench, word: str | None) -> None:
    """Changed since, or of a store that cannot tell."""
    await bench.read()
    bench.file.word = word
    assert await bench.read() == len(DATA)
    assert await bench.read() == (0 if word else len(DATA))


@pytest.mark.parametrize("at", [0, PIECE, len(DATA) - PIECE])
async def test_what_comes_from_the_medium_is_hashed(bench: Bench, at: int) -> None:
    """From the first such piece on, and what went out before it as well."""
    await bench.read()
    bench.file.on_medium = {at}
    assert await bench.read() == len(DATA)
    assert await bench.read() == 0
    bench.file.on_medium = {at}
    bench.file.data = DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :]
    with pytest.raises(Corrupt):
        await bench.read()
    # They are in memory now, and under the same identity.
    with pytest.raises(Corrupt):
        await bench.read()


async def test_a_download_that_is_left_vouches_for_nothing(bench: Bench) -> None:
    """What it brought from the medium was not hashed to the end: the next one does."""
    await bench.read()
    bench.file.on_medium = {0}
    async with aclosing(
        verified_pieces(Reader(bench.file), KEY, bench.hasher, bench.verified)
    ) as pieces:
        await anext(pieces)
    assert bench.file.opened == 0
    # At least: the thread of the one that was left may be at its last block.
    assert await bench.read() >= len(DATA)


async def test_a_change_while_it_is_sent_is_noticed(bench: Bench) -> None:
    """All of it is hashed before the last piece goes out."""
    for is_damaged in (False, True):
        bench.file = File()
        await bench.read()
        async with aclosing(
            verified_pieces(Reader(bench.file), KEY, bench.hasher, bench.verified)
        ) as pieces:
            await anext(pieces)
            bench.file.word = "moved to the trash"
            if is_damaged:
                bench.file.data = DATA[:-1] + b"!"
                with pytest.raises(Corrupt):
                    [piece async for piece in pieces]
            else:
                assert len([piece async for piece in pieces]) == len(DATA) // PIECE - 1


async def test_a_failure_is_passed_on(bench: Bench) -> None:
    """And closes what was open, also where the beginning is read again."""
    bench.file.fails_at = 2 * PIECE
    with pytest.raises(Unavailable):
        await bench.read()
    bench.file.fails_at = None
    await bench.read()
    bench.file.on_medium = {3 * PIECE}
    pieces = verified_pieces(Reader(bench.file), KEY, bench.hasher, bench.verified)
    for _ in range(3):
        await anext(pieces)
    bench.file.fails_at = PIECE
    with pytest.raises(Unavailable):
        await anext(pieces)
    assert bench.file.opened == 0


async def test_a_cancelled_download_leaves_nothing(bench: Bench) -> None:
    """Neither an open generator nor an error that nobody took."""
    with anyio.CancelScope() as scope:
        async with aclosing(
            verified_pieces(Reader(bench.file), KEY, bench.hasher, bench.verified)
        ) as pieces:
            async for _ in pieces:
                scope.cancel()
    gc.collect()
    assert scope.cancelled_caught and bench.file.opened == 0
    assert await bench.read() >= len(DATA)


async def test_what_no_hasher_names_is_passed_on(bench: Bench) -> None:
    """As it is: the plugin that named it is not installed any more."""
    pieces = verified_pieces(Reader(bench.file), KEY, None, bench.verified)
    assert b"".join([piece async for piece in pieces]) == DATA


async def test_pieces_need_not_be_a_generator(bench: Bench) -> None:
    """Any iterator will do; there is nothing to close then."""

    class Iterating(Reader):
        def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
            generator = super().chunks(start, length)

            class Pieces:
                def __aiter__(self) -> Any:
                    return self

                async def __anext__(self) -> bytes:
                    return await anext(generator)

            return Pieces()

    pieces = verified_pieces(Iterating(bench.file), KEY, bench.hasher, bench.verified)
    assert b"".join([piece async for piece in pieces]) == DATA


async def test_nothing_is_remembered_for_no_time(bench: Bench) -> None:
    """0 seconds: hashed each time."""
    bench.verified = VerifiedContents(lambda: 0.0, for_s=0)
    assert await bench.read() == await bench.read() == len(DATA)


def test_the_oldest_verification_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory has a limit."""
    from juststorage.usecases import _verified

    monkeypatch.setattr(_verified, "_CONTENTS_MAX", 2)
    verified = VerifiedContents(lambda: 0.0, for_s=1)
    keys = [BlobKey(make_content(str(n)).content_hash, StorageClass.HOT) for n in range(3)]
    for key in keys[:2]:
        verified.add(key, "word", 0)
    assert verified.has(keys[0], "word")
    verified.add(keys[2], "word", 0)
    assert [verified.has(key, "word") for key in keys] == [True, False, True]
