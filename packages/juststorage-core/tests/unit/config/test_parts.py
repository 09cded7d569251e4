"""Parts of a configuration that are read alone, before the rest or where that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from juststorage.config import Config
from juststorage.errors import Misconfigured


class TestGate:
    def test_gate_reads_only_its_section(self, tmp_path: Path) -> None:
        """Which plugins may be imported can be read though the rest is wrong."""
        path = tmp_path / "x.toml"
        path.write_text("nonsense = 1\n[plugins]\ndisabled = ['a']\n")
        gate = Config.load_gate(path, environment={"JUSTSTORAGE__PLUGINS__ENABLED": "b,c"})
        assert (gate.disabled, gate.enabled) == (("a",), ("b", "c"))

    def test_a_wrong_variable_of_another_section_waits(self) -> None:
        """It is told with everything else, when the whole configuration is read."""
        environment = {"JUSTSTORAGE__SERVER___PORT": "1", "JUSTSTORAGE__PLUGINS__DISABLED": "a"}
        assert Config.load_gate(environment=environment).disabled == ("a",)
        with pytest.raises(Misconfigured, match="names no setting"):
            Config.load_gate(environment={"JUSTSTORAGE__PLUGINS___DISABLED": "a"})

    def test_wrong_gate_is_refused(self) -> None:
        """A gate that cannot be read lets nothing pass."""
        with pytest.raises(Misconfigured, match=r"^plugins: Expected table, got str$"):
            Config.load_gate(environment={"JUSTSTORAGE__PLUGINS": "x"})
        with pytest.raises(Misconfigured, match=r"^plugins.disable: unknown option; did you mean"):
            Config.load_gate(environment={"JUSTSTORAGE__PLUGINS__DISABLE": "x"})


class TestLogAlone:
    def test_what_is_wrong_is_left_out(self, tmp_path: Path) -> None:
        """In what form to complain is known although there is something to complain of."""
        path = tmp_path / "x.toml"
        path.write_text("nonsense = 1\n[log]\nlevel = 'loud'\nformat = 'json'\n")
        log = Config.load_log(path, environment={"JUSTSTORAGE__GC": "x"})
        assert (log.format, log.level) == ("json", "info")
        assert Config.load_log(path, environment={"JUSTSTORAGE__LOG__FORMAT": "text"}).format == (
            "text"
        )
        assert Config.load_log(environment={"JUSTSTORAGE__LOG": "x"}).format == "auto"

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        """The environment is read all the same."""
        environment = {"JUSTSTORAGE__LOG__FORMAT": "json", "JUSTSTORAGE_CONFIG": "none.toml"}
        assert Config.load_log(environment=environment).format == "json"
        assert Config.load_log(tmp_path, environment={}).format == "auto"
