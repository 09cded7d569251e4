"""A server from its first log line to its exit code."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

workers = pytest.mark.parametrize("workers", ["1", "2"])
UPLOAD = "/v1/objects/by-key/models/acme/a"


class TestStarting:
    def test_the_first_line_says_what_serves_and_why(self, serve: Any) -> None:
        """Before anything else the log names each backend, its distribution, and who chose it."""
        server = serve()
        first = server.messages[0]
        assert first.startswith("configured by the environment: metadata=memory (juststorage-core ")
        for part in ("blobs.hot=memory", "hasher=sha256", "auth.api_key=api_key (juststorage-api "):
            assert part in first

    def test_the_configuration_file_is_named(self, serve: Any, tmp_path: Any) -> None:
        """Whoever reads the log knows which file was read."""
        (tmp_path / "juststorage.toml").write_text(
            'allow_ephemeral = true\n[plugins]\nenabled = ["api"]\n'
            '[metadata]\nbackend = "memory"\n[blobs.hot]\nbackend = "memory"\n'
        )
        server = serve("--config", "juststorage.toml", environment={})
        assert server.messages[0].startswith("configured by juststorage.toml: ")

    @workers
    def test_it_answers(self, serve: Any, workers: str) -> None:
        """Health and readiness are open; objects need the key."""
        server = serve("--workers", workers)
        assert server.call("GET", "/health", key=None)[0] == 200
        assert server.call("GET", "/health/ready", key=None)[0] == 200
        assert server.call("GET", "/v1/objects?tenant_id=acme", key=None)[0] == 401
        assert server.call("GET", "/v1/objects?tenant_id=acme")[0] == 200

    @pytest.mark.parametrize(("host", "shown"), [("localhost", "127.0.0.1"), ("0.0.0.0", "127.0")])
    def test_hosts_by_name(self, serve: Any, host: str, shown: str) -> None:
        """A name is resolved, and the log shows where a client on this machine connects."""
        server = serve("--host", host)
        assert shown in server.url
        assert server.call("GET", "/health", key=None)[0] == 200

    def test_all_of_a_head_that_is_allowed(self, serve: Any, tmp_path: Any) -> None:
        """The server takes as large a head as the option may be set to."""
        (tmp_path / "juststorage.toml").write_text(
            'allow_ephemeral = true\n[plugins]\nenabled = ["api"]\n'
            '[metadata]\nbackend = "memory"\n[blobs.hot]\nbackend = "memory"\n'
            "[limits]\nheader_bytes = 262144\n"
        )
        server = serve("--config", "juststorage.toml", environment={})
        assert server.call("GET", "/health", key="a" * 260_000)[0] == 200
        assert server.call("GET", "/health", key="a" * 270_000)[0] == 431

    def test_no_line_of_granian_but_its_problems(self, serve: Any) -> None:
        """The log is ours: the HTTP server's own chatter is not in it, and every line is JSON."""
        server = serve()
        server.call("GET", "/health")
        assert server.stop() == 0
        entries = [json.loads(line) for line in server.lines]
        assert {entry["target"].split(".")[0] for entry in entries} == {"juststorage"}
        assert not [line for line in server.lines if "xperimental" in line]


class TestStopping:
    @workers
    @pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
    def test_a_signal_ends_it_well(self, serve: Any, signum: int, workers: str) -> None:
        """Being told to stop is no failure: exit code 0, and every worker says that it stopped."""
        server = serve("--workers", workers)
        server.wait_workers(int(workers))
        assert server.stop(signum) == 0
        assert server.messages.count("stopped") == int(workers)

    def test_a_terminal_signals_all(self, serve: Any) -> None:
        """Ctrl-C reaches parent and workers at once; that is still one orderly end."""
        server = serve("--workers", "2")
        server.wait_workers(2)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.wait_exit() == 0
        assert server.messages.count("stopped") == 2


class TestWorkers:
    def test_a_parent_that_dies_early_leaves_no_worker(self, serve: Any) -> None:
        """Workers that are still starting when their parent is killed end as well."""
        server = serve("--workers", "2")
        server.process.kill()
        server.wait_exit()
        server.wait_refusing()
        assert "the worker failed" not in server.messages

    def test_a_dead_worker_is_replaced(self, serve: Any) -> None:
        """When a worker dies, the others go on and another one takes its place."""
        server = serve("--workers", "2")
        server.wait_workers(2)
        victim = server.children()[0]
        os.kill(victim, signal.SIGKILL)
        message = server.wait_line("starting another")
        assert str(victim) in message
        assert "SIGKILL" in message
        assert server.call("GET", "/health")[0] == 200
        server.wait_workers(2)
        assert server.stop() == 0
        assert server.messages.count("stopped") == 2

    def test_workers_do_not_outlive_their_parent(self, serve: Any) -> None:
        """When the parent is killed, the workers drain and give the port back."""
        server = serve("--workers", "2")
        server.wait_workers(2)
        server.process.kill()
        server.wait_refusing()
        server.wait_exit()
        assert server.messages.count("stopped") == 2
