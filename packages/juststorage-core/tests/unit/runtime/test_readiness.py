"""Readiness: each part is asked by itself, and its trouble is its own."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

from juststorage.errors import Unavailable
from juststorage.runtime import open_runtime, unwrap


class TestReadiness:
    async def test_ready_parts_have_their_latency(self, story: Any, config: dict[str, Any]) -> None:
        """Every store is asked, in order, and its time is told."""
        async with open_runtime(config, plugins=[story], discover=False) as runtime:
            parts = await runtime.readiness()
        stores = ["metadata", "metadata/migrations", "blobs.hot", "blobs.cold"]
        assert [part.name for part in parts] == [*stores, "blobs.hot/space", "blobs.cold/space"]
        assert all(part.ok and part.detail is None for part in parts)
        assert all(part.latency_ms is not None and part.latency_ms >= 0 for part in parts)

    async def test_part_that_fails_or_hangs_is_named(
        self, story: Any, raiser: Any, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A ping that raises or does not answer in time is that part's trouble alone."""
        from juststorage.runtime import _readiness

        monkeypatch.setattr(_readiness, "PING_TIMEOUT_S", 0.01)
        async with open_runtime(config, plugins=[story], discover=False) as runtime:
            stores: list[Any] = [unwrap(store) for store in runtime.blobs.values()]
            hot, cold = stores
            hot.ping = raiser(Unavailable("the volume is read-only"))
            cold.ping = anyio.sleep_forever
            cast("Any", unwrap(runtime.metadata)).ping = raiser(OSError("/x"))
            details = {part.name: part.detail for part in await runtime.readiness()}
        assert details == {
            "metadata": "metadata: answers failed unexpectedly",
            "metadata/migrations": "metadata: ping failed unexpectedly",
            "blobs.hot": "the volume is read-only",
            "blobs.cold": "no answer within 0.01 s",
            "blobs.hot/space": None,
            "blobs.cold/space": None,
        }
