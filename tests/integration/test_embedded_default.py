"""The start without configuration, on the packages that it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from juststorage.config import Config
from juststorage.errors import Misconfigured
from juststorage.runtime import open_runtime


async def test_embedded_default_makes_its_directory(tmp_path: Path) -> None:
    """Without configuration the data directory is made, with those above it."""
    (tmp_path / "file").write_text("")
    loaded = Config.load(environment={}, overrides={"data_dir": str(tmp_path / "file" / "b")})
    with pytest.raises(Misconfigured, match=r"^data_dir: cannot make .*Not a directory"):
        async with open_runtime(loaded):
            pass
    loaded = Config.load(environment={}, overrides={"data_dir": str(tmp_path / "a" / "b")})
    async with open_runtime(loaded) as runtime:
        assert (tmp_path / "a" / "b").is_dir()
        assert all(part.ok for part in await runtime.readiness())
        assert runtime.config.embedded_default
        runtime.refuse_ephemeral()
