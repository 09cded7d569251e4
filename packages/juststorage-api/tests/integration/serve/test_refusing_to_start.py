"""What stops a start: one clear line, exit code 2, no traceback, also when a worker finds it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from juststorage.cli._main import juststorage

MEMORY = {
    "JUSTSTORAGE__PLUGINS__ENABLED": "api",
    "JUSTSTORAGE__METADATA__BACKEND": "memory",
    "JUSTSTORAGE__BLOBS__HOT__BACKEND": "memory",
    "JUSTSTORAGE__ALLOW_EPHEMERAL": "true",
}

workers = pytest.mark.parametrize("workers", ["1", "2"])


class TestAddress:
    @workers
    def test_a_taken_port(self, serve: Any, workers: str) -> None:
        """A port where anyone listens is refused, also where that one would share it."""
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = str(other.getsockname()[1])
            line = serve.refusal("--port", port, "--workers", workers)
        assert port in line
        assert "in use" in line

    def test_a_port_of_another_server(self, serve: Any) -> None:
        """Two servers never share a port: the kernel would deal connections out to both."""
        first = serve()
        line = serve.refusal("--port", str(first.address[1]))
        assert "in use" in line

    @pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1", "a" * 300])
    def test_an_address_that_is_not_ours(self, serve: Any, host: str) -> None:
        """A name that does not resolve, or an address of another machine, is named."""
        assert host in serve.refusal("--host", host)


class TestSettings:
    def test_a_wrong_value(self, serve: Any) -> None:
        """A value of the wrong type names its setting."""
        line = serve.refusal(environment={**MEMORY, "JUSTSTORAGE__SERVER__DRAIN_TIMEOUT_S": "soon"})
        assert "server.drain_timeout_s" in line

    @workers
    def test_all_mistakes_at_once(self, serve: Any, workers: str) -> None:
        """Whoever starts a service mends everything in one go: a line for each mistake."""
        environment = {
            **MEMORY,
            "JUSTSTORAGE__METADATA__BACKEND": "oracle",
            "JUSTSTORAGE__BLOBS__HOT__MEMORY__ROOT": "/",
            "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP": "x",
        }
        server = serve.launch("--workers", workers, environment=environment)
        assert server.wait_exit() == 2
        assert [message.partition(" ")[0] for message in server.refusals()] == [
            "metadata.backend:",
            "blobs.hot.memory.root:",
            "auth.api_key.bootstrap:",
        ]

    def test_an_unknown_setting(self, serve: Any) -> None:
        """A typo is heard."""
        line = serve.refusal(environment={**MEMORY, "JUSTSTORAGE__SERVER__PROT": "80"})
        assert "server.prot" in line
        assert "port" in line

    def test_an_unknown_backend(self, serve: Any) -> None:
        """A backend that is not installed is named, with those that are."""
        line = serve.refusal(environment={**MEMORY, "JUSTSTORAGE__METADATA__BACKEND": "oracle"})
        assert "oracle" in line
        assert "memory" in line

    def test_a_file_that_is_not_there(self, serve: Any, tmp_path: Path) -> None:
        """A configuration file that cannot be read is named."""
        missing = str(tmp_path / "missing.toml")
        assert missing in serve.refusal("--config", missing)

    def test_a_file_that_is_not_toml(self, serve: Any, tmp_path: Path) -> None:
        """A configuration file with a mistake is named."""
        (tmp_path / "bad.toml").write_text("[metadata\n")
        assert "bad.toml" in serve.refusal("--config", "bad.toml", environment={})

    @workers
    def test_a_bootstrap_key_that_is_too_short(self, serve: Any, workers: str) -> None:
        """A key that could be guessed is refused, and not repeated."""
        environment = {**MEMORY, "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": "hunter2"}
        line = serve.refusal("--workers", workers, environment=environment)
        assert "auth.api_key.bootstrap_key" in line
        assert "hunter2" not in line

    @pytest.mark.parametrize("words", [("config", "check"), ("doctor",)], ids=lambda w: w[0])
    def test_a_bootstrap_key_is_checked_before(
        self, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who checks the configuration hears of it too, though nothing is opened."""
        for name in [name for name in os.environ if name.startswith("JUSTSTORAGE")]:
            monkeypatch.delenv(name)
        (tmp_path / "key").write_text("short\n")
        (tmp_path / "juststorage.toml").write_text(
            'metadata.backend = "memory"\nblobs.hot.backend = "memory"\n'
            f'auth.api_key.bootstrap_key.file = "{tmp_path}/key"\n'
        )
        told = CliRunner().invoke(
            juststorage, [*words, "--config", str(tmp_path / "juststorage.toml")]
        )
        assert told.exit_code == 2
        assert "auth.api_key.bootstrap_key: " in told.output
        assert "short" not in told.output

    @workers
    def test_backends_that_forget(self, serve: Any, workers: str) -> None:
        """A store in memory is served only where somebody said that this is meant."""
        environment = {**MEMORY, "JUSTSTORAGE__ALLOW_EPHEMERAL": "false"}
        line = serve.refusal("--workers", workers, environment=environment)
        assert "allow_ephemeral" in line

    def test_options_that_make_no_sense(self, serve: Any) -> None:
        """The command line is checked as usual: usage, and exit code 2."""
        server = serve.launch("--workers", "none")
        assert server.wait_exit() == 2
        assert "Traceback" not in "\n".join(server.lines)
