"""`juststorage serve` with nothing configured: SQLite, local files, and an admin key."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from juststorage.domain import ApiKeySecret

workers = pytest.mark.parametrize("workers", ["1", "2"])
LIST = "/v1/objects?tenant_id=acme"


def key_of(data: Path) -> str:
    """The admin key that the server made."""
    return (data / "admin.key").read_text().strip()


class TestFirstStart:
    def test_it_says_that_nothing_was_configured(self, serve: Any) -> None:
        """The first line names what was chosen, and that nobody chose it."""
        server = serve("--data-dir", "data", environment={})
        assert server.messages[0].startswith(
            "embedded default: no configuration given: metadata=sqlite (juststorage-sqlite "
        )
        assert "blobs.hot=localfs" in server.messages[0]

    def test_only_the_owner_reads_the_key(self, serve: Any, tmp_path: Path) -> None:
        """The admin key is a file of mode 600 that holds a fresh key, and nothing else is left."""
        serve("--data-dir", "data", environment={})
        file = tmp_path / "data" / "admin.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert re.fullmatch(r"js_[0-9a-z]{12}_[A-Za-z0-9_-]{43}\n", file.read_text())
        assert [path.name for path in file.parent.iterdir() if "admin" in path.name] == [file.name]

    def test_the_log_names_the_file_and_never_the_key(self, serve: Any, tmp_path: Path) -> None:
        """Who reads the log may not act as the administrator."""
        server = serve("--data-dir", "data", environment={"JUSTSTORAGE__LOG__LEVEL": "debug"})
        key = key_of(tmp_path / "data")
        assert server.call("GET", LIST, key=key)[0] == 200
        assert server.stop() == 0
        log = "\n".join(server.lines)
        assert str(tmp_path / "data" / "admin.key") in log
        assert key not in log
        assert ApiKeySecret(key).hashed.hex() not in log

    def test_an_operators_own_key_is_taken_instead(self, serve: Any, tmp_path: Path) -> None:
        """Whoever sets a bootstrap key gets no second one."""
        key = "a-key-of-the-operator"
        environment = {"JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": key}
        server = serve("--data-dir", "data", environment=environment)
        assert server.messages[0].startswith("embedded default")
        assert server.call("GET", LIST, key=key)[0] == 200
        assert not (tmp_path / "data" / "admin.key").exists()


class TestRestart:
    def test_the_key_stays(self, serve: Any, tmp_path: Path) -> None:
        """A restart keeps the key, and what was stored."""
        first = serve("--data-dir", "data", environment={})
        key = key_of(tmp_path / "data")
        assert first.call("PUT", "/v1/objects/by-key/a/acme/k", b"hello", key=key)[0] == 201
        assert first.stop() == 0
        second = serve("--data-dir", "data", environment={})
        assert key_of(tmp_path / "data") == key
        assert second.call("GET", "/v1/objects/by-key/a/acme/k", key=key) == (200, b"hello")

    def test_a_wiped_database_gets_the_same_key(self, serve: Any, tmp_path: Path) -> None:
        """When only the metadata is lost, the key in the file opens the new database."""
        data = tmp_path / "data"
        assert serve("--data-dir", "data", environment={}).stop() == 0
        key = key_of(data)
        for file in data.glob("metadata.sqlite3*"):
            file.unlink()
        server = serve("--data-dir", "data", environment={})
        assert key_of(data) == key
        assert server.call("GET", LIST, key=key)[0] == 200

    def test_a_lost_key_is_replaced(self, serve: Any, tmp_path: Path) -> None:
        """Whoever can delete the file can get in again: the next start makes a new key."""
        data = tmp_path / "data"
        assert serve("--data-dir", "data", environment={}).stop() == 0
        old = key_of(data)
        (data / "admin.key").unlink()
        server = serve("--data-dir", "data", environment={})
        assert key_of(data) != old
        assert server.call("GET", LIST, key=key_of(data))[0] == 200

    def test_a_crash_loses_nothing(self, serve: Any, tmp_path: Path) -> None:
        """What was answered before SIGKILL is there after it, the key included."""
        first = serve("--data-dir", "data", environment={})
        key = key_of(tmp_path / "data")
        assert first.call("PUT", "/v1/objects/by-key/a/acme/k", b"hello", key=key)[0] == 201
        first.process.kill()
        first.wait_exit()
        second = serve("--data-dir", "data", environment={})
        assert second.call("GET", "/v1/objects/by-key/a/acme/k", key=key) == (200, b"hello")


class TestFullVolume:
    def test_the_reserve_is_kept_before_the_body(self, serve: Any, tmp_path: Path) -> None:
        """A body that would fit only by eating the reserve is refused before it is asked for."""
        facts = os.statvfs(tmp_path)
        # Far from both edges, because others write to this volume as well.
        length = min(facts.f_bavail * facts.f_frsize * 3 // 4, 2**39)
        reserve = facts.f_bavail * facts.f_frsize - length // 2
        environment = {
            "JUSTSTORAGE__DATA_DIR": "data",
            "JUSTSTORAGE__METADATA__BACKEND": "sqlite",
            "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
            "JUSTSTORAGE__BLOBS__HOT__LOCALFS__RESERVE_BYTES": str(reserve),
            "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": "a-key-of-the-operator",
        }
        (tmp_path / "data").mkdir()
        server = serve(environment=environment)
        with server.connect() as wire:
            wire.sendall(
                b"PUT /v1/objects/by-key/a/acme/k HTTP/1.1\r\nHost: x\r\n"
                b"X-API-Key: a-key-of-the-operator\r\nExpect: 100-continue\r\n"
                b"Content-Length: %d\r\n\r\n" % length
            )
            assert wire.recv(12) == b"HTTP/1.1 507"


class TestTwoWorkers:
    def test_they_share_one_database(self, serve: Any, tmp_path: Path) -> None:
        """Whatever worker stores something, every worker sees it; both accept the key."""
        server = serve("--data-dir", "data", "--workers", "2", environment={})
        server.wait_workers(2)
        key = key_of(tmp_path / "data")

        def put(number: int) -> int:
            target = f"/v1/objects/by-key/a/acme/{number:02}"
            status: int = server.call("PUT", target, b"%d" % (number % 5), key=key)[0]
            return status

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(put, range(40))) == {201}
        for _ in range(10):  # each on a connection of its own: both workers are asked
            status, body = server.call("GET", f"{LIST}&limit=100", key=key)
            assert status == 200
            assert len(json.loads(body)["objects"]) == 40
        assert server.stop() == 0
        with closing(sqlite3.connect(tmp_path / "data" / "metadata.sqlite3")) as db:
            assert db.execute("SELECT count(*) FROM api_keys").fetchone() == (1,)

    def test_servers_that_start_together_agree_on_the_key(self, serve: Any, tmp_path: Path) -> None:
        """Two services on one new directory make one key, and both know it."""
        servers = [serve.launch("--data-dir", "data", environment={}) for _ in range(2)]
        for server in servers:
            server.wait_listening()
        key = key_of(tmp_path / "data")
        assert [server.call("GET", LIST, key=key)[0] for server in servers] == [200, 200]


class TestRefusals:
    @workers
    def test_a_damaged_database(self, serve: Any, tmp_path: Path, workers: str) -> None:
        """A file that is no database is named, and left alone."""
        data = tmp_path / "data"
        data.mkdir()
        (data / "metadata.sqlite3").write_bytes(b"this is not a database" * 100)
        line = serve.refusal("--data-dir", "data", "--workers", workers, environment={})
        assert "metadata.sqlite3" in line
        assert (data / "metadata.sqlite3").read_bytes().startswith(b"this is not a database")

    @workers
    def test_a_locked_database(self, serve: Any, tmp_path: Path, workers: str) -> None:
        """A database that another program holds is told, after the time to wait for it."""
        (tmp_path / "juststorage.toml").write_text(
            'data_dir = "data"\n[metadata]\nbackend = "sqlite"\n'
            "[metadata.sqlite]\nbusy_timeout_s = 0.1\n"
            '[blobs.hot]\nbackend = "localfs"\n'
        )
        (tmp_path / "data").mkdir()
        with closing(sqlite3.connect(tmp_path / "data" / "metadata.sqlite3")) as other:
            other.execute("CREATE TABLE objects (x)")
            other.execute("BEGIN EXCLUSIVE")
            line = serve.refusal(
                "--config", "juststorage.toml", "--workers", workers, environment={}
            )
        assert "metadata" in line

    def test_a_data_directory_that_is_a_file(self, serve: Any, tmp_path: Path) -> None:
        """A data directory that cannot be one is named."""
        (tmp_path / "data").write_text("")
        line = serve.refusal("--data-dir", "data", environment={})
        assert "data_dir" in line
        assert str(tmp_path / "data") in line

    def test_an_unwritable_data_directory(self, serve: Any, tmp_path: Path) -> None:
        """A data directory where nothing can be created is named, also to root."""
        line = serve.refusal("--data-dir", "/proc/juststorage", environment={})
        assert "data_dir" in line
        assert "/proc/juststorage" in line

    @workers
    def test_a_taken_port_leaves_no_directory(
        self, serve: Any, tmp_path: Path, workers: str
    ) -> None:
        """A start that failed is as if it had not been: no directory, no key."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = str(other.getsockname()[1])
            line = serve.refusal(
                "--data-dir", "a/data", "--port", port, "--workers", workers, environment={}
            )
        assert "in use" in line
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("SERVER__WORKERS", "many"),
            ("SERVER__HOST", "no.such.host.invalid"),
            ("SERVER__PROT", "80"),
            ("AUTH__API_KEY__PREFIX", "x"),
            ("AUTH__CHAIN", "api_key,magic"),
            ("GC__POLICY", "whim"),
            ("HASHER__BACKEND", "crc"),
            ("PLUGINS__DISABLED", "sqlite"),
        ],
    )
    def test_a_wrong_setting_leaves_no_directory(
        self, serve: Any, tmp_path: Path, setting: str, value: str
    ) -> None:
        """Whatever part of the configuration is wrong, nothing is made for it."""
        environment = {f"JUSTSTORAGE__{setting}": value}
        serve.refusal("--data-dir", "data", environment=environment)
        assert list(tmp_path.iterdir()) == []

    def test_an_admin_key_that_is_no_key(self, serve: Any, tmp_path: Path) -> None:
        """A key file that somebody emptied stops the start: nobody could use it."""
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "admin.key").write_text("")
        line = serve.refusal("--data-dir", "data", environment={})
        assert "bootstrap_key" in line


class TestDraining:
    def test_a_client_that_does_not_read_cannot_hold_the_server(
        self, serve: Any, tmp_path: Path
    ) -> None:
        """A file that Granian sends by itself is left after the drain timeout, and the end is well.

        No request is under way then: its handler has returned, and only the kernel and the server's
        own threads know of the transfer.
        """
        environment = {"JUSTSTORAGE__SERVER__DRAIN_TIMEOUT_S": "0.2"}
        server = serve("--data-dir", "data", environment=environment)
        key = key_of(tmp_path / "data")
        target = "/v1/objects/by-key/a/acme/large"
        assert server.call("PUT", target, os.urandom(32 * 1024 * 1024), key=key)[0] == 201
        with server.connect(receive_buffer=8 * 1024) as stalled:
            stalled.sendall(
                f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {key}\r\n\r\n".encode()
            )
            assert stalled.recv(12) == b"HTTP/1.1 200"
            assert server.stop(signal.SIGTERM) == 0
        assert server.messages[-1] == "stopped"


def test_the_directory_can_be_moved(serve: Any, tmp_path: Path) -> None:
    """Everything is below the data directory, with no absolute path in it."""
    first = serve("--data-dir", "data", environment={})
    key = key_of(tmp_path / "data")
    assert first.call("PUT", "/v1/objects/by-key/a/acme/k", b"hello", key=key)[0] == 201
    assert first.stop() == 0
    shutil.move(tmp_path / "data", tmp_path / "moved")
    second = serve("--data-dir", "moved", environment={})
    assert second.call("GET", "/v1/objects/by-key/a/acme/k", key=key) == (200, b"hello")
