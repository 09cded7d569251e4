"""What is wrong is refused before anything is open."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage.errors import Misconfigured
from juststorage.runtime import open_runtime


class TestRefusals:
    async def test_nothing_opens_when_a_setting_is_wrong(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """All options are bound before the first backend opens."""
        config["auth"]["told"] = {"speed": 1}
        with pytest.raises(Misconfigured, match=r"^auth\.told\.speed: unknown option$"):
            async with open_runtime(config, plugins=[story], discover=False):
                pass
        assert story.events == []

    async def test_backend_named_twice_in_the_chain_is_refused(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """An authenticator that is asked twice is a mistake."""
        config["auth"]["chain"] = ["told", "told"]
        with pytest.raises(Misconfigured, match=r"^auth\.chain: 'told' is named twice$"):
            async with open_runtime(config, plugins=[story], discover=False):
                pass

    async def test_table_of_an_unknown_backend_is_a_warning(
        self,
        story: Any,
        config: dict[str, Any],
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A table that belongs to no backend is reported; strict, it is refused."""
        config["metadata"]["tolt"] = {}
        async with open_runtime(config, plugins=[story], discover=False):
            pass
        message = "metadata.tolt: there is no metadata store 'tolt'; did you mean 'told'?"
        assert message in caplog.messages
        monkeypatch.setenv("JUSTSTORAGE_PLUGINS_STRICT", "1")
        with pytest.raises(Misconfigured) as caught:
            async with open_runtime(config, plugins=[story], discover=False):
                pass
        assert str(caught.value) == message

    async def test_clash_of_given_plugins_is_refused(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """Two plugins that offer one name never come to open."""
        with pytest.raises(Misconfigured, match="is offered by the plugins"):
            async with open_runtime(config, plugins=[story, type(story)()], discover=False):
                pass

    async def test_ephemeral_backends_are_refused_for_serving(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """A server refuses what forgets, unless it was allowed; opening does not."""
        async with open_runtime(config, plugins=[story], discover=False) as runtime:
            with pytest.raises(Misconfigured) as caught:
                runtime.refuse_ephemeral()
        assert str(caught.value) == (
            "metadata: the backend 'told' forgets everything when the process ends;"
            " set allow_ephemeral = true to serve from it"
        )
        config["allow_ephemeral"] = True
        async with open_runtime(config, plugins=[story], discover=False) as runtime:
            runtime.refuse_ephemeral()
