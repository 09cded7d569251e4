"""`juststorage objects get`: whole or nothing, and it goes on where it was cut."""

from __future__ import annotations

import hashlib
import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

Run = Callable[..., Result]


def parts(directory: Path) -> list[Path]:
    """What is left of downloads that did not end."""
    return list(directory.glob(".juststorage-*"))


class TestGet:
    """Whole, right and atomic, or not at all."""

    def test_the_server_is_away(self, run: Run, tmp_path: Path) -> None:
        """A server that never answered is not waited for: exit code 4, and a line with its URL."""
        result = run("objects", "get", "docs/acme/x", JUSTSTORAGE_URL="http://127.0.0.1:1")
        assert result.exit_code == 4
        assert (
            result.stderr.count("\n") == 1 and "http://127.0.0.1:1 does not answer" in result.stderr
        )
        assert not list(tmp_path.iterdir())

    def test_a_wrong_key(self, run: Run, stored: str) -> None:
        """It is refused with what to do, and not repeated in the message."""
        result = run("objects", "get", stored, "out", JUSTSTORAGE_KEY="wrong-and-secret-key")
        assert result.exit_code == 1
        assert "JUSTSTORAGE_KEY" in result.stderr and "wrong-and-secret" not in result.output
        assert not Path("out").exists()

    def test_nothing_there(self, run: Run) -> None:
        """An object that is not there is exit code 3."""
        result = run("objects", "get", "docs/acme/nothing")
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr == "juststorage: docs/acme/nothing: there is no such object\n"

    def test_cut_connections_are_resumed(
        self, run: Run, stored: str, content: bytes, network: Any, tmp_path: Path
    ) -> None:
        """What has arrived is not fetched again, and the file is whole."""
        way = network([10**6, 10**6, 10])
        result = run("objects", "get", stored, "out", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert Path("out").read_bytes() == content
        assert way.connections == 4
        assert not parts(tmp_path)

    def test_what_has_arrived_is_kept_for_the_next_time(
        self, run: Run, stored: str, content: bytes, network: Any, tmp_path: Path
    ) -> None:
        """A server that stays away is exit code 4; the same command fetches only the rest."""
        way = network([10**6, *[0] * 50])
        result = run("objects", "get", stored, "out", "--patience", "0", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 4
        (part,) = parts(tmp_path)
        arrived = part.stat().st_size
        assert 0 < arrived < len(content) and not Path("out").exists()
        limit = len(content) - arrived + 10_000
        again = network([limit])
        result = run("objects", "get", stored, "out", "--patience", "0", JUSTSTORAGE_URL=again.url)
        assert result.exit_code == 0, result.output
        assert Path("out").read_bytes() == content
        assert not parts(tmp_path)

    def test_replaced_midway(
        self, run: Run, server: Any, stored: str, content: bytes, network: Any
    ) -> None:
        """A key that comes to hold other bytes gives those, never a mixture."""
        new = content[::-1]
        path = f"/v1/objects/by-key/{stored}"
        way = network([10**6], on_cut=lambda: server.call("PUT", path, new))
        result = run("objects", "get", stored, "out", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert Path("out").read_bytes() == new
        assert not parts(Path())

    def test_replaced_midway_into_a_pipe(
        self, run: Run, server: Any, stored: str, content: bytes, network: Any
    ) -> None:
        """What went into a pipe cannot be taken back: the command fails and says so."""
        path = f"/v1/objects/by-key/{stored}"
        way = network([10**6], on_cut=lambda: server.call("PUT", path, b"new"))
        result = run("objects", "get", stored, "-", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 1
        assert "replaced while it was read" in result.stderr
        assert content.startswith(result.stdout_bytes) and len(result.stdout_bytes) < len(content)

    def test_deleted_midway(
        self, run: Run, server: Any, stored: str, network: Any, tmp_path: Path
    ) -> None:
        """Gone is gone: exit code 3, and nothing is left of it."""
        path = f"/v1/objects/by-key/{stored}"
        way = network([10**6], on_cut=lambda: server.call("DELETE", path))
        result = run("objects", "get", stored, "out", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 3
        assert not Path("out").exists() and not parts(tmp_path)

    def test_damaged_on_the_way(self, run: Run, stored: str, network: Any, tmp_path: Path) -> None:
        """Other bytes than were uploaded never get the file's name, nor an older one's place."""
        Path("out").write_bytes(b"older")
        way = network([], damage=2 * 10**6)
        result = run("objects", "get", stored, "out", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 1
        assert "is not what was uploaded" in result.stderr
        assert Path("out").read_bytes() == b"older"
        assert not parts(tmp_path)

    def test_a_full_disk(self, start: Any, stored: str, tmp_path: Path) -> None:
        """No room for the file: one line, the older file is as it was, and nothing is left."""
        (tmp_path / "out").write_bytes(b"older")

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))

        done = start("objects", "get", stored, "out", preexec_fn=limited)
        assert done.returncode == 1
        assert done.stderr.startswith(b"juststorage: ") and done.stderr.count(b"\n") == 1
        assert (tmp_path / "out").read_bytes() == b"older"
        assert not parts(tmp_path)

    def test_a_full_pipe(self, start: Any, stored: str) -> None:
        """Standard output without room is a failure too."""
        with Path("/dev/full").open("wb") as full:
            done = start(
                "objects", "get", stored, "-", capture_output=False, stdout=full, stderr=-1
            )
        assert done.returncode == 1
        assert b"No space left" in done.stderr

    def test_a_directory_that_is_not_there(self, run: Run, stored: str) -> None:
        """One line names it."""
        result = run("objects", "get", stored, "no/where/out")
        assert result.exit_code == 1
        assert "No such file or directory" in result.stderr and "Traceback" not in result.output

    def test_two_at_once(
        self, run: Run, start: Any, stored: str, network: Any, tmp_path: Path
    ) -> None:
        """The second one for the same file is refused, instead of writing into the first one's."""
        others: list[Any] = []
        way = network([10**6], on_cut=lambda: others.append(start("objects", "get", stored, "out")))
        result = run("objects", "get", stored, "out", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        (other,) = others
        assert other.returncode == 1
        assert b"out is being written by another process" in other.stderr
        assert not parts(tmp_path)

    def test_into_a_directory_and_as_json(self, run: Run, stored: str, content: bytes) -> None:
        """The file has the last part of the key as its name."""
        Path("into").mkdir()
        result = run("objects", "get", stored, "into", "--json")
        told = json.loads(result.stdout)
        assert told["content_hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert (Path("into") / stored.rpartition("/")[2]).read_bytes() == content
        assert told["size_bytes"] == len(content)

    def test_a_key_without_a_file_name(self, run: Run) -> None:
        """Keys that end with a slash or with dots never choose where a file goes."""
        for key in ("a/", "a/.", "a/.."):
            assert run("objects", "get", f"docs/acme/{key}").exit_code == 2

    def test_what_is_no_file_stays_what_it_is(
        self, run: Run, start: Any, stored: str, content: bytes, tmp_path: Path
    ) -> None:
        """Devices and pipes are written to, and links followed, instead of being replaced."""
        (tmp_path / "file").write_bytes(b"older")
        (tmp_path / "link").symlink_to("file")
        assert run("objects", "get", stored, "link").exit_code == 0
        assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_bytes() == content
        (tmp_path / "null").symlink_to("/dev/null")
        assert run("objects", "get", stored, "null").exit_code == 0
        assert Path("/dev/null").is_char_device()
        assert start("objects", "get", stored, "/dev/stdout").stdout == content

    def test_an_empty_object(self, run: Run) -> None:
        """Nothing is fetched, and the file is there."""
        Path("nothing").touch()
        assert run("objects", "put", "nothing", "docs/acme/empty").exit_code == 0
        assert run("objects", "get", "docs/acme/empty").exit_code == 0
        assert Path("empty").read_bytes() == b""
