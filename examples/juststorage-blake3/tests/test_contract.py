"""The plugin through JustStorage's conformance kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest
from juststorage.runtime import open_runtime
from juststorage.testing import HasherContract, PluginContract

from juststorage_blake3.plugin import BLAKE3, Blake3Options

pytest_plugins = ["juststorage.testing.fixtures"]


class TestHasher(HasherContract):
    """Digests that someone else has published show that it is the function that it says."""

    backend = BLAKE3
    vectors: ClassVar[Mapping[bytes, str]] = {
        b"": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        b"abc": "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
    }


class TestHasherWithThreads(TestHasher):
    """The digest does not depend on how many threads make it."""

    @pytest.fixture
    def options(self) -> Blake3Options:
        return Blake3Options(threads=4)


class TestPlugin(PluginContract):
    """What every plugin must do: be light, say which core it needs, document its options, ..."""

    plugin = "blake3"


@pytest.mark.anyio
async def test_a_service_names_new_content_with_it() -> None:
    """Selected by configuration, found by its entry point; SHA-256 stays at hand to read."""
    config = {
        "metadata": {"backend": "memory"},
        "blobs": {"hot": {"backend": "memory"}},
        "hasher": {"backend": "blake3"},
        "auth": {"chain": []},
    }
    async with open_runtime(config) as runtime:
        assert runtime.hasher.hash(b"abc") == f"blake3:{TestHasher.vectors[b'abc']}"
        assert set(runtime.hashers) >= {"blake3", "sha256"}
