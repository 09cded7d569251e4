"""The first admin key."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from juststorage.domain import Scope
from juststorage.errors import Misconfigured
from juststorage.plugins import Secret
from juststorage.ports import ApiKeyChange

pytest_plugins = ["juststorage.testing.fixtures"]

KEY = "correct-horse-battery-staple"


class TestBootstrapKey:
    @pytest.mark.parametrize(
        "text", ["", "x" * 19, "x" * 257, "ü" * 20, "with spaces in between it", "x" * 20 + "\n"]
    )
    async def test_an_unfit_key_is_a_wrong_setting(self, open_service: Any, text: str) -> None:
        """A key that nobody could present, or anybody could guess, stops the start."""
        with pytest.raises(Misconfigured, match="bootstrap_key") as caught:
            async with open_service(bootstrap_key=Secret(text)):
                pass
        assert not text or text not in str(caught.value)

    async def test_it_opens_everything(self, open_service: Any) -> None:
        """It is an admin key for all tenants and namespaces."""
        async with open_service(bootstrap_key=Secret(KEY)) as service:
            principal = await service.ask(KEY)
        assert principal.scopes == {Scope.ADMIN}
        assert principal.tenants is None
        assert principal.namespaces is None

    async def test_restarts_register_it_once(self, open_service: Any) -> None:
        """The same key at the next start is the same row."""
        async with open_service(bootstrap_key=Secret(KEY)) as first:
            async with open_service(keys=first.keys, bootstrap_key=Secret(KEY)) as second:
                assert await second.ask(KEY) == await first.ask(KEY)
            assert len(await first.keys.page(after=None, limit=10)) == 1

    async def test_workers_register_it_once(self, open_service: Any) -> None:
        """Workers that start at the same time make one row, and none of them fails."""
        async with open_service() as service:
            service.keys.close_gate()

            async def start() -> None:
                async with open_service(keys=service.keys, bootstrap_key=Secret(KEY)) as worker:
                    assert await worker.ask(KEY) is not None

            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(start)
                await anyio.wait_all_tasks_blocked()
                # All have found that the key is unknown by now.
                service.keys.gate.set()
            assert len(await service.keys.page(after=None, limit=10)) == 1

    async def test_a_revoked_one_stays_revoked(
        self, open_service: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A restart does not undo what an administrator did, but it says so."""
        async with open_service(bootstrap_key=Secret(KEY)) as first:
            (row,) = await first.keys.page(after=None, limit=10)
            await first.keys.create(_other_admin())
            await first.keys.update(row.id, ApiKeyChange(is_active=False))
            with caplog.at_level(logging.WARNING):
                async with open_service(keys=first.keys, bootstrap_key=Secret(KEY)) as second:
                    await second.refusal(KEY)
        assert "revoked" in caplog.text

    async def test_it_is_never_logged(
        self, open_service: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says that there is a key, not which."""
        with caplog.at_level(logging.DEBUG):
            async with open_service(bootstrap_key=Secret(KEY)):
                pass
        assert "bootstrap key" in caplog.text
        assert KEY not in caplog.text


def _other_admin() -> Any:
    from juststorage.testing import make_api_key

    return make_api_key(scopes=[Scope.ADMIN], tenants=None)
