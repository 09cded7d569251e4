"""`juststorage objects` against a real server, over sockets that break."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from juststorage_api._client._progress import Progress
from juststorage_api._client._server import Server
from juststorage_api._client._target import Target
from juststorage_api._client._upload import FileChanged, put

Run = Callable[..., Result]


def parts(directory: Path) -> list[Path]:
    """What is left of downloads that did not end."""
    return list(directory.glob(".juststorage-*"))


@pytest.fixture
def stored(run: Run, tmp_path: Path, content: bytes, request: pytest.FixtureRequest) -> str:
    """An object of its own for the test."""
    name = f"docs/acme/{request.node.name}"
    (tmp_path / "source").write_bytes(content)
    result = run("objects", "put", "source", name)
    assert result.exit_code == 0, result.output
    return name


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

    def test_a_bar_on_a_terminal_only(self, start: Any, stored: str) -> None:
        """Standard error shows progress where it is a terminal, and nothing elsewhere."""
        assert start("objects", "get", stored, "one").stderr == b""
        leader, follower = pty.openpty()
        shown: list[bytes] = []

        def watch() -> None:
            with contextlib.suppress(OSError):  # how a terminal ends
                while piece := os.read(leader, 65_536):
                    shown.append(piece)

        watcher = threading.Thread(target=watch)
        watcher.start()
        done = start(
            "objects", "get", stored, "two", capture_output=False, stdout=-3, stderr=follower
        )
        os.close(follower)
        watcher.join()
        os.close(leader)
        assert done.returncode == 0
        assert b"100%" in b"".join(shown) and b"MiB/s" in b"".join(shown)


class TestPut:
    """Stored whole, or not at all."""

    def test_the_connection_is_cut(
        self, run: Run, server: Any, network: Any, content: bytes
    ) -> None:
        """A file whose answer is lost is sent again, and stored once."""
        Path("file").write_bytes(content)
        # The first connection carries the answer to HEAD, and cuts that to PUT.
        way = network([600])
        result = run("objects", "put", "file", "docs/cut/file", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert way.connections == 2
        _, page = server.call("GET", "/v1/objects?namespace=docs&tenant_id=cut")
        (each,) = json.loads(page)["objects"]
        assert each["content_hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"

    def test_a_pipe_cannot_be_sent_again(self, start: Any, server: Any, network: Any) -> None:
        """What came from standard input is gone with the connection: exit code 4."""
        words = ("objects", "put", "-", "docs/pipe/x")
        assert start(*words, "--url", network([0]).url, input=b"x").returncode == 4
        assert start(*words, input=b"x" * 2**21).returncode == 0
        assert server.call("GET", "/v1/objects/by-key/docs/pipe/x") == (200, b"x" * 2**21)

    def test_standard_input_that_is_a_file(
        self, start: Any, server: Any, tmp_path: Path, content: bytes
    ) -> None:
        """What is left of it is stored: others may have read its beginning."""
        (tmp_path / "file").write_bytes(content)
        for offset in (0, 1000):
            with (tmp_path / "file").open("rb") as file:
                os.lseek(file.fileno(), offset, os.SEEK_SET)
                done = start("objects", "put", "-", "docs/acme/stdin", stdin=file)
            assert done.returncode == 0, done.stderr
            answer = server.call("GET", "/v1/objects/by-key/docs/acme/stdin")
            assert answer == (200, content[offset:])

    def test_a_wrong_key_is_told_before_the_file_is_sent(self, run: Run, network: Any) -> None:
        """One question, one refusal."""
        Path("file").write_bytes(b"x" * 2**20)
        result = run("objects", "put", "file", "docs/acme/w", JUSTSTORAGE_KEY="wrong")
        assert result.exit_code == 1
        assert "JUSTSTORAGE_KEY" in result.stderr

    @pytest.mark.parametrize("change", [b"more", b""], ids=["grows", "is cut off"])
    def test_a_file_that_changes_while_it_is_read(
        self, server: Any, key: str, tmp_path: Path, change: bytes
    ) -> None:
        """Nothing of it is stored, whether it became longer or shorter."""
        path = tmp_path / "file"
        path.write_bytes(b"x" * (3 * 2**20))

        class Changing(Progress):
            def moved(self, count: int) -> None:
                if count:
                    with path.open("ab" if change else "wb") as file:
                        file.write(change)

        target = Target(namespace="docs", tenant="acme", key="changing")
        with (
            Server(server.url, key, 5) as known,
            path.open("rb") as file,
            pytest.raises(FileChanged),
        ):
            put(known, target, file, progress=Changing(), headers={})
        assert server.call("HEAD", target.path)[0] == 404

    def test_conditions(self, run: Run) -> None:
        """--if-absent and --if-match are judged by the server; a refusal is exit code 1."""
        Path("file").write_bytes(b"one")
        assert run("objects", "put", "file", "docs/acme/cas", "--if-absent").exit_code == 0
        refused = run("objects", "put", "file", "docs/acme/cas", "--if-absent")
        assert refused.exit_code == 1
        wrong = f"sha256:{'0' * 64}"
        assert run("objects", "put", "file", "docs/acme/cas", "--if-match", wrong).exit_code == 1
        right = f"sha256:{hashlib.sha256(b'one').hexdigest()}"
        Path("file").write_bytes(b"two")
        assert run("objects", "put", "file", "docs/acme/cas", "--if-match", right).exit_code == 0
        both = run("objects", "put", "file", "docs/acme/cas", "--if-absent", "--if-match", right)
        assert both.exit_code == 2

    def test_what_is_said_about_it(self, run: Run) -> None:
        """Media type, metadata and storage class arrive; the type is guessed from the name."""
        Path("page.html").write_bytes(b"<p>")
        how = ("--metadata", '{"who": "\u00e9"}', "--json")
        told = json.loads(run("objects", "put", "page.html", "docs/acme/p", *how).stdout)
        assert (told["content_type"], told["metadata"]) == ("text/html", {"who": "\u00e9"})
        assert run("objects", "put", "page.html", "docs/acme/p", "--metadata", "[").exit_code == 2
        assert run("objects", "put", "page.html", "id:" + told["id"]).exit_code == 2


class TestOthers:
    """Lists, looks, deletions and copies."""

    def test_keys_that_look_like_paths(self, run: Run) -> None:
        """Dots, spaces, percent signs and letters of any alphabet are part of a key."""
        for key in ("a/../b", "./c", "d e", "100%25", "\u00fc?#&", "x//y/"):
            name = f"odd/acme/{key}"
            Path("file").write_text(key)
            assert run("objects", "put", "file", name).exit_code == 0, key
            assert run("objects", "get", name, "-").stdout == key
            assert json.loads(run("objects", "stat", name, "--json").stdout)["key"] == key

    def test_a_list_of_several_pages(self, run: Run, server: Any) -> None:
        """All of them, in the order of their keys where there is a prefix."""
        for number in range(3):
            server.call("PUT", f"/v1/objects/by-key/list/acme/p/{number}", b"x")
        lines = run("objects", "ls", "list/acme/p/").stdout.splitlines()
        assert [line.split()[-1] for line in lines] == [f"list/acme/p/{n}" for n in range(3)]
        one = run("objects", "ls", "list/acme", "--limit", "1", "--json").stdout
        assert json.loads(one)["key"] == "p/2"

    def test_objects_without_a_key(self, run: Run, server: Any) -> None:
        """They are listed by id, and found by it, with the tenant where the caller has several."""
        _, body = server.call("POST", "/v1/objects?namespace=bare&tenant_id=acme", b"bare")
        name = f"id:{json.loads(body)['id']}@acme"
        assert run("objects", "ls", "bare/acme").stdout.split()[-1] == name
        assert run("objects", "get", name, "-").stdout == "bare"
        assert "COMMITTED" in run("objects", "stat", name).stdout
        assert run("objects", "rm", name).exit_code == 0
        assert run("objects", "stat", name).exit_code == 3

    def test_deleting(self, run: Run, stored: str) -> None:
        """All that are there go, whatever is missing; that is exit code 3 unless it is fine."""
        result = run("objects", "rm", "docs/acme/none", stored)
        assert result.exit_code == 3
        assert result.stdout == f"deleted {stored}\n" and "docs/acme/none" in result.stderr
        result = run("objects", "rm", stored, "--missing-ok", "--json")
        assert result.exit_code == 0
        assert json.loads(result.stdout) == {"deleted": [], "missing": [stored]}

    def test_a_deletion_whose_answer_is_lost(self, run: Run, stored: str, network: Any) -> None:
        """The second try finds nothing, which is what was asked for."""
        run("objects", "put", "source", "docs/acme/other")
        # The first answer makes the server known; that to the second deletion is cut.
        result = run("objects", "rm", "docs/acme/other", stored, JUSTSTORAGE_URL=network([250]).url)
        assert result.exit_code == 0, result.output
        assert f"deleted {stored}" in result.stdout

    def test_copies(self, run: Run, stored: str) -> None:
        """A copy has the same bytes; it never replaces, and stays within its tenant."""
        result = run("objects", "cp", stored, "docs/acme/copies/one", "--json")
        assert json.loads(result.stdout)["key"] == "copies/one"
        assert run("objects", "cp", stored, "docs/acme/copies/one").exit_code == 1
        assert run("objects", "cp", stored, "docs/other/one").exit_code == 2
        assert run("objects", "cp", stored, f"id:{'0' * 36}").exit_code == 2
        assert run("objects", "cp", "docs/acme/none", "docs/acme/copies/two").exit_code == 3

    @pytest.mark.parametrize(
        "words",
        [
            ("get", "docs"),
            ("get", "docs/acme/"),
            ("get", "-docs/ac me/x"),
            ("ls", "do cs"),
            ("ls", "--url", "ftp://x"),
            ("ls", "--url", "http://user:secret@127.0.0.1"),
            ("ls", "--url", "http://[::1"),
            ("ls", "--key-file", "none"),
            ("ls", "--key-file", "two"),
            ("ls", "--key-file", "binary"),
            ("get", "docs/acme/x", "-", "--json"),
        ],
    )
    def test_wrong_usage(self, run: Run, words: tuple[str, ...]) -> None:
        """What cannot be meant is exit code 2, before the server is asked; no secret is shown."""
        Path("two").write_text("two secret words")
        Path("binary").write_bytes(b"\xff\xfe")
        result = run("objects", *words, JUSTSTORAGE_URL="http://127.0.0.1:1")
        assert result.exit_code == 2, result.output
        assert "secret" not in result.output

    def test_a_key_from_a_file(self, run: Run, environment: dict[str, str]) -> None:
        """The file may end with a newline, and wins over the variable."""
        Path("key").write_text(environment["JUSTSTORAGE_KEY"] + "\n")
        result = run("objects", "ls", "docs/acme", "--key-file", "key", JUSTSTORAGE_KEY="wrong")
        assert result.exit_code == 0, result.output
        assert run("objects", "ls", "docs/acme", JUSTSTORAGE_KEY=None).exit_code == 1
