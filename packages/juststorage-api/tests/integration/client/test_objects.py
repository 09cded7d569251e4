"""`juststorage objects` against a real server, over sockets that break."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from juststorage.cli import Progress
from juststorage_api._client._server import Server
from juststorage_api._client._target import Target
from juststorage_api._client._upload import FileChanged, put

Run = Callable[..., Result]


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
        """What came from standard input is gone with the connection, unless none was read."""
        words = ("objects", "put", "-", "docs/pipe/x")
        cut = start(*words, "--url", network([0]).url, "--json", input=b"x")
        error = json.loads(cut.stdout)["error"]
        assert (cut.returncode, error["code"]) == (1, "not_repeatable")
        assert "cannot be sent again" in error["detail"]
        # Nobody was there: nothing has been read, and the same command goes on.
        assert start(*words, "--url", "http://127.0.0.1:1", input=b"x").returncode == 4
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

    @pytest.mark.parametrize(
        ("key", "reason"),
        [("a\tb", "control characters"), ("x" * 2000, "1024 bytes")],
        ids=["a tab", "too long"],
    )
    @pytest.mark.parametrize("words", [("put", "file"), ("stat",)], ids=["put", "stat"])
    def test_a_key_that_is_none(
        self, run: Run, words: tuple[str, ...], key: str, reason: str
    ) -> None:
        """Code and sentence are the server's, though it is asked without a body first."""
        Path("file").write_bytes(b"x")
        result = run("objects", *words, f"docs/acme/{key}", "--json")
        error = json.loads(result.stdout)["error"]
        assert (result.exit_code, error["code"]) == (1, "invalid_name")
        assert reason in error["detail"]

    @pytest.mark.parametrize("words", [("put", "file"), ("stat",), ("get",)], ids=lambda w: w[0])
    def test_an_unknown_key_of_the_caller(self, run: Run, words: tuple[str, ...]) -> None:
        """The server's sentence, too, and what to do."""
        Path("file").write_bytes(b"x")
        result = run("objects", *words, "docs/acme/w", JUSTSTORAGE_KEY="a-key-that-nobody-knows")
        assert result.exit_code == 1
        assert "the server answered" not in result.stderr
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
        assert refused.stderr.startswith("juststorage: docs/acme/cas: ")
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

    def test_a_list_of_no_tenant(self, run: Run) -> None:
        """Where the caller has several, the sentence says how to name one."""
        result = run("objects", "ls")
        assert result.exit_code == 1
        assert result.stderr.endswith("; name it: NAMESPACE/TENANT\n")

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
        for word in ("get", "stat", "rm"):
            refused = run("objects", word, name.removesuffix("@acme"))
            assert refused.exit_code == 1
            assert refused.stderr.endswith("; name it: id:ID@TENANT\n")
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
        refused = run("objects", "cp", stored, "docs/acme/copies/one", "--json")
        assert refused.exit_code == 1
        assert refused.stderr.startswith("juststorage: docs/acme/copies/one: ")
        assert json.loads(refused.stdout)["error"]["code"] == "key_conflict"
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
