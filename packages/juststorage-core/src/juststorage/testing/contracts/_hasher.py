"""HasherContract: what every hash function must do."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import msgspec
import pytest

from juststorage.domain import ContentHash
from juststorage.plugins import HasherBackend
from juststorage.ports import Hasher, HashState
from juststorage.testing.contracts._base import Contract
from juststorage.testing.contracts._blob_base import pattern

__all__ = ["HasherContract"]


class HasherContract(Contract):
    """The contract of `Hasher`."""

    backend: ClassVar[HasherBackend[Any]]

    vectors: ClassVar[Mapping[bytes, str]] = {}
    """Published inputs and their digests in hex; at least that of the empty input."""

    @pytest.fixture
    async def hasher(self, options: msgspec.Struct) -> AsyncIterator[Hasher]:
        """The hasher under test."""
        async with self.opened(options) as hasher:
            assert isinstance(hasher, Hasher)
            yield hasher

    async def test_published_digests(self, hasher: Hasher) -> None:
        """It is the function that its name says."""
        assert b"" in self.vectors, "give at least the digest of the empty input in `vectors`"
        for data, digest in self.vectors.items():
            assert hasher.hash(data) == f"{hasher.algorithm}:{digest}", (
                f"of {data[:32]!r} the published digest is another: content would be stored"
                " for ever under names that nobody else can check"
            )

    async def test_a_content_hash_comes_out(self, hasher: Hasher) -> None:
        """Algorithm and digest make a content hash that parses again."""
        state = hasher.new()
        state.update(b"abc")
        digest = state.digest()
        assert isinstance(digest, bytes), f"`digest` gave {type(digest).__name__}, not bytes"
        assert 16 <= len(digest) <= 64, (
            f"`digest` gave {len(digest)} bytes: a content hash has 16 to 64"
        )
        made = hasher.hash(b"abc")
        assert made.digest == digest, "`hash` and a state of `new` differ about the same bytes"
        assert isinstance(made, ContentHash)
        assert ContentHash(str(made)) == made
        assert made.algorithm == hasher.algorithm

    @pytest.mark.parametrize("step", [1, 63, 64, 65, 4096, 1_000_003])
    async def test_pieces_do_not_matter(self, hasher: Hasher, step: int) -> None:
        """However the bytes come, in whatever buffer, the digest is that of all of them."""
        data = pattern(3_000 if step < 63 else 300_000)
        state = hasher.new()
        buffer = bytearray(step)
        for turn, at in enumerate(range(0, len(data), step)):
            piece = data[at : at + step]
            buffer[: len(piece)] = piece
            view = memoryview(buffer)[: len(piece)]
            kinds = (view, bytes(view), bytearray(view))
            state.update(kinds[turn % 3])
            view.release()
            buffer[:] = bytes(step)
        state.update(b"")
        assert state.digest() == hasher.hash(data).digest, (
            f"in pieces of {step} bytes the digest is another than at once: it must not depend on"
            " how the bytes were cut, nor on the buffer, which is used again after `update`"
        )

    async def test_a_digest_may_be_asked_for_in_between(self, hasher: Hasher) -> None:
        """`digest` changes nothing: asked twice it answers twice, and more may follow."""
        state = hasher.new()
        state.update(b"first")
        assert state.digest() == state.digest() == hasher.hash(b"first").digest, (
            "`digest` changed the state: the second answer is another"
        )
        state.update(b" second")
        assert state.digest() == hasher.hash(b"first second").digest, (
            "`digest` ended the state: what was added later is missing"
        )

    async def test_states_are_apart(self, hasher: Hasher) -> None:
        """Two uploads at once do not mix."""
        one, other = hasher.new(), hasher.new()
        one.update(b"a")
        other.update(b"b")
        one.update(b"a")
        shared = "two states share what they were given: `new` must make a state of its own"
        assert one.digest() == hasher.hash(b"aa").digest, shared
        assert other.digest() == hasher.hash(b"b").digest, shared

    async def test_a_state_may_change_threads(self, hasher: Hasher) -> None:
        """One thread at a time, not always the same one."""
        state, data = hasher.new(), pattern(100_000)
        for at in range(0, len(data), 10_000):
            thread = threading.Thread(target=state.update, args=[data[at : at + 10_000]])
            thread.start()
            thread.join()
        assert state.digest() == hasher.hash(data).digest

    async def test_many_threads_at_once(self, hasher: Hasher) -> None:
        """States in several threads at once do not disturb each other."""
        data = pattern(500_000)
        states = [hasher.new() for _ in range(4)]

        def work(state: HashState, seed: int) -> None:
            state.update(bytes([seed]))
            for at in range(0, len(data), 7_919):
                state.update(data[at : at + 7_919])

        threads = [
            threading.Thread(target=work, args=[state, seed]) for seed, state in enumerate(states)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for seed, state in enumerate(states):
            assert state.digest() == hasher.hash(bytes([seed]) + data).digest, (
                "states that were used in several threads at once disturbed each other"
            )

    async def test_every_bit_counts(self, hasher: Hasher) -> None:
        """Inputs that differ in one bit, or only in length, differ in their hash."""
        data = pattern(64)
        inputs = {data, data[:-1], data + b"\x00", b"", b"\x00"}
        for position in range(len(data) * 8):
            changed = bytearray(data)
            changed[position // 8] ^= 1 << position % 8
            inputs.add(bytes(changed))
        assert len({hasher.hash(each) for each in inputs}) == len(inputs), (
            "inputs that differ have one hash: they would be stored as equal bytes"
        )
