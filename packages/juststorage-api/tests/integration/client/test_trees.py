"""`juststorage import` and `export` against a real server, over sockets that break."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, bytes]:
    """Files in the directory `tree`, some equal, one empty, one with odd letters in its name."""
    files = {f"d{number % 3}/f{number}": b"%d" % (number % 7) * 1000 for number in range(20)}
    files |= {"empty": b"", "sp ace/\u00fc%20?#": b"odd", "large": bytes(range(256)) * 8000}
    for name, content in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return files


def read(directory: Path) -> dict[str, bytes]:
    """All files below, hidden ones too."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def counts(result: Result) -> dict[str, int]:
    """What a command says at its end, with --json."""
    last = json.loads(result.stdout.splitlines()[-1])
    told: dict[str, int] = last["counts"]
    # What fails ends with a document about that.
    assert ("error" in last) is (result.exit_code != 0)
    return told


class TestImport:
    """Each file once, however often it is begun."""

    def test_the_server_is_away(self, run: Run, tree: Any) -> None:
        """Not one file after the other is tried: exit code 4, and one line."""
        result = run("import", "tree", "docs/away", JUSTSTORAGE_URL="http://127.0.0.1:1")
        assert (result.exit_code, result.stdout) == (4, "")
        assert result.stderr.count("does not answer") == 1

    def test_a_wrong_key(self, run: Run, tree: Any) -> None:
        """The first refusal ends it, and nothing is said of what there was to do."""
        result = run("import", "tree", "docs/wrong", JUSTSTORAGE_KEY="wrong")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.count("JUSTSTORAGE_KEY") == 1

    def test_broken_off_and_gone_on_with(
        self, run: Run, tree: dict[str, bytes], network: Any
    ) -> None:
        """When the server goes away it ends; the same command does the rest."""
        way = network([3000, *[0] * 50])
        words = ("import", "tree", "docs/broken", "--json", "--jobs", "1")
        broken = run(*words, "--patience", "0", JUSTSTORAGE_URL=way.url)
        assert broken.exit_code == 4
        stored = counts(broken)["stored"]
        assert 0 < stored < len(tree)
        done = counts(run(*words))
        assert done["unchanged"] >= stored
        assert done["stored"] + done["unchanged"] == len(tree)

    def test_cut_connections(self, run: Run, tree: dict[str, bytes], network: Any) -> None:
        """Answers that are lost now and then cost nothing but time."""
        way = network([1000, 10, 2000, 0, 3000])
        result = run("import", "tree", "docs/cut", "--json", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert sum(counts(result).values()) == len(tree)
        assert way.connections > 5
        assert run("import", "tree", "docs/cut").stdout == f"{len(tree)} unchanged\n"

    @pytest.mark.parametrize("same", [True, False])
    def test_somebody_is_faster(
        self, run: Run, server: Any, network: Any, tmp_path: Path, same: bool
    ) -> None:
        """What another one stores between our look and our upload is never overwritten."""
        (tmp_path / "one").mkdir()
        (tmp_path / "one/file").write_bytes(b"ours")
        path = f"/v1/objects/by-key/docs/faster/{same}/file"
        theirs = b"ours" if same else b"theirs"
        way = network([], on_first=lambda: server.call("PUT", path, theirs))
        words = ("import", "one", f"docs/faster/{same}/", "--replace", "--json")
        result = run(*words, JUSTSTORAGE_URL=way.url)
        assert result.exit_code == int(not same)
        assert counts(result) == {"unchanged" if same else "failed": 1}
        assert server.call("GET", path)[1] == theirs

    def test_other_bytes_stay_unless_told(self, run: Run, server: Any, tree: Any) -> None:
        """What differs is a failure, and the rest is done; --replace replaces it."""
        path = "/v1/objects/by-key/docs/differs/p/empty"
        server.call("PUT", path, b"not empty")
        result = run("import", "tree", "docs/differs/p/", "--json")
        assert result.exit_code == 1
        assert counts(result) == {"failed": 1, "stored": len(tree) - 1}
        assert "'empty': docs/differs/p/empty has other bytes" in result.stderr
        last = json.loads(result.stdout.splitlines()[-1])
        detail = f"1 of {len(tree)} failed, as told above"
        assert last["error"] == {"code": "incomplete", "detail": detail, "problems": [detail]}
        assert server.call("GET", path)[1] == b"not empty"
        dry = run("import", "tree", "docs/differs/p/", "--replace", "--dry-run")
        assert "1 would be replaced" in dry.stdout
        assert "would be replaced: docs/differs/p/empty\n" in dry.stdout
        assert server.call("GET", path)[1] == b"not empty"
        assert run("import", "tree", "docs/differs/p/", "--replace").exit_code == 0
        assert server.call("GET", path) == (200, b"")

    @pytest.mark.parametrize("prefix", ["pre/fix", "pre/fix/"])
    def test_a_prefix_is_a_directory(
        self, run: Run, server: Any, tmp_path: Path, prefix: str
    ) -> None:
        """With a final slash or without: keys are joined by one, and a dry run shows them."""
        (tmp_path / "one/a").mkdir(parents=True)
        (tmp_path / "one/a/f1").write_bytes(b"x")
        place = f"docs/joined{len(prefix)}/{prefix}"
        dry = run("import", "one", place, "--dry-run")
        target = f"{place.removesuffix('/')}/a/f1"
        assert dry.stdout == f"would be stored: {target}\n1 would be stored\n"
        told = run("import", "one", place, "--dry-run", "--json").stdout.splitlines()[0]
        assert json.loads(told)["key"] == "pre/fix/a/f1"
        assert run("import", "one", place).stdout == "1 stored\n"
        assert server.call("GET", f"/v1/objects/by-key/{target}") == (200, b"x")
        assert run("export", place, "out").exit_code == 0
        assert read(tmp_path / "out") == {"a/f1": b"x"}

    def test_what_is_no_file(self, run: Run, tree: dict[str, bytes], tmp_path: Path) -> None:
        """Links and pipes are left out, even a link that leads back up; bad names are failures."""
        (tmp_path / "tree" / "up").symlink_to("..")
        os.mkfifo(tmp_path / "tree" / "pipe")
        (tmp_path / "tree" / os.fsdecode(b"bad\xff")).touch()
        result = run("import", "tree", "docs/none", "--json")
        assert result.exit_code == 1
        assert counts(result) == {"failed": 1, "left out": 2, "stored": len(tree)}
        assert "not UTF-8" in result.stderr

    def test_a_name_that_no_key_can_have(self, run: Run, tmp_path: Path) -> None:
        """Code and sentence are the server's."""
        (tmp_path / "one").mkdir()
        (tmp_path / "one/two\nlines").touch()
        result = run("import", "one", "docs/names", "--json")
        told = json.loads(result.stdout.splitlines()[0])
        assert (result.exit_code, told["code"]) == (1, "invalid_name")
        assert "control characters" in told["problem"]

    def test_what_is_said_about_them(self, run: Run, server: Any, tmp_path: Path) -> None:
        """Media types are guessed by name, and the storage class is that asked for."""
        (tmp_path / "one").mkdir()
        (tmp_path / "one/a.json").write_bytes(b"{}")
        assert run("import", "one", "docs/typed", "--storage-class", "hot").exit_code == 0
        _, page = server.call("GET", "/v1/objects?namespace=docs&tenant_id=typed")
        (each,) = json.loads(page)["objects"]
        assert (each["content_type"], each["storage_class"]) == ("application/json", "hot")

    def test_an_empty_directory(self, run: Run, tmp_path: Path) -> None:
        """Nothing to do is fine."""
        (tmp_path / "nothing").mkdir()
        result = run("import", "nothing", "docs/acme")
        assert (result.exit_code, result.stdout) == (0, "nothing to do\n")

    @pytest.mark.parametrize("place", ["docs", "docs/", "/acme", "do cs/acme"])
    def test_wrong_usage(self, run: Run, tree: Any, place: str) -> None:
        """Namespace and tenant must be there."""
        assert run("import", "tree", place).exit_code == 2
        assert run("export", place, "out").exit_code == 2
        assert not Path("out").exists()


class TestExport:
    """Each object once, whole, and nowhere but below the directory."""

    def test_round_trip(self, run: Run, tree: dict[str, bytes], tmp_path: Path) -> None:
        """What was imported comes out as it went in; a second time there is nothing to do."""
        assert run("import", "tree", "docs/round/p/").exit_code == 0
        assert run("export", "docs/round/p/", "out").exit_code == 0
        assert read(tmp_path / "out") == tree
        assert run("export", "docs/round/p/", "out").stdout == f"{len(tree)} unchanged\n"
        assert run("export", "docs/round/p/d1", "part").exit_code == 0
        assert set(read(tmp_path / "part")) == {name[3:] for name in tree if name[:3] == "d1/"}

    def test_the_server_is_away(self, run: Run) -> None:
        """Exit code 4."""
        result = run("export", "docs/acme", "out", JUSTSTORAGE_URL="http://127.0.0.1:1")
        assert (result.exit_code, result.stdout) == (4, "")

    def test_a_wrong_key(self, run: Run) -> None:
        """A refusal, and not a word of what there was to do."""
        result = run("export", "docs/acme", "out", JUSTSTORAGE_KEY="wrong")
        assert (result.exit_code, result.stdout) == (1, "")

    def test_cut_connections(
        self, run: Run, tree: dict[str, bytes], network: Any, tmp_path: Path
    ) -> None:
        """Downloads go on where they were cut."""
        assert run("import", "tree", "docs/cuts").exit_code == 0
        way = network([10_000, 50_000, 500, 10**6, 0, 3000])
        result = run("export", "docs/cuts", "out", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert read(tmp_path / "out") == tree
        assert way.connections > 6

    def test_keys_that_lead_elsewhere(self, run: Run, server: Any, tmp_path: Path) -> None:
        """Keys that are no paths are failures, and nothing is written outside; the rest comes."""
        for key in ("%2E%2E/escaped", "a/%2E%2E/b", "a//b", "end/", "%2E", "x" * 300, ".by-id/x"):
            status, _ = server.call("PUT", f"/v1/objects/by-key/odd/keys/{key}", b"x")
            assert status == 201, key
        server.call("PUT", "/v1/objects/by-key/odd/keys/fine", b"fine")
        result = run("export", "odd/keys", "sub/out", "--json")
        assert result.exit_code == 1
        assert counts(result) == {"failed": 7, "written": 1}
        assert read(tmp_path) == {"sub/out/fine": b"fine"}

    def test_a_key_below_another_key(self, run: Run, server: Any) -> None:
        """A file cannot be a directory too: one of both is a failure, told by its name."""
        for key in ("a", "a/b"):
            server.call("PUT", f"/v1/objects/by-key/odd/both/{key}", b"x")
        result = run("export", "odd/both", "out", "--json")
        assert result.exit_code == 1
        assert counts(result) == {"failed": 1, "written": 1}

    def test_objects_without_a_key(self, run: Run, server: Any) -> None:
        """They come under their id."""
        _, body = server.call("POST", "/v1/objects?namespace=odd&tenant_id=bare", b"bare")
        assert run("export", "odd/bare", "out").exit_code == 0
        assert read(Path("out")) == {f".by-id/{json.loads(body)['id']}": b"bare"}

    def test_other_bytes_stay_unless_told(self, run: Run, server: Any) -> None:
        """A file that differs is a failure; --replace replaces it."""
        server.call("PUT", "/v1/objects/by-key/odd/mine/a", b"theirs")
        Path("out").mkdir()
        Path("out/a").write_bytes(b"mine")
        assert run("export", "odd/mine", "out").exit_code == 1
        assert Path("out/a").read_bytes() == b"mine"
        assert run("export", "odd/mine", "out", "--replace").stdout == "1 replaced\n"
        assert Path("out/a").read_bytes() == b"theirs"

    def test_replaced_and_deleted_since_they_were_listed(
        self, run: Run, server: Any, network: Any, content: bytes
    ) -> None:
        """The new one is written in place of a replaced one; a deleted one is no failure."""
        path = "/v1/objects/by-key/odd/moving/"
        server.call("PUT", f"{path}deleted", b"1")
        server.call("PUT", f"{path}replaced", b"2")
        server.call("PUT", f"{path}first", content)

        def change() -> None:
            server.call("DELETE", f"{path}deleted")
            server.call("PUT", f"{path}replaced", b"new")

        way = network([10**6], on_cut=change)
        words = ("export", "odd/moving", "out", "--jobs", "1", "--json")
        result = run(*words, JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert counts(result) == {"gone meanwhile": 1, "written": 2}
        assert read(Path("out")) == {"first": content, "replaced": b"new"}

    def test_no_room(self, start: Any, server: Any, content: bytes, tmp_path: Path) -> None:
        """A file that does not fit is a failure and leaves nothing; those that fit are written."""
        server.call("PUT", "/v1/objects/by-key/odd/room/large", content)
        server.call("PUT", "/v1/objects/by-key/odd/room/small", b"small")

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))

        done = start("export", "odd/room", "out", preexec_fn=limited)
        assert done.returncode == 1
        assert b"'large': File too large" in done.stderr
        assert read(tmp_path / "out") == {"small": b"small"}

    def test_interrupted(
        self, server: Any, network: Any, begin: Any, content: bytes, tmp_path: Path
    ) -> None:
        """Ctrl-C ends it at once; what has arrived is gone on from, and nothing is left over."""
        server.call("PUT", "/v1/objects/by-key/odd/ctrl/large", content)
        processes: list[subprocess.Popen[bytes]] = []
        way = network([10**6], on_cut=lambda: processes[0].send_signal(signal.SIGINT))
        words = ("export", "odd/ctrl", "out", "--json")
        processes.append(begin(*words, "--url", way.url))
        printed, told = processes[0].communicate(timeout=60)
        assert processes[0].returncode == 130
        assert told == b"juststorage: interrupted; the same command goes on\n"
        last = json.loads(printed.splitlines()[-1])
        assert (last["counts"], last["error"]["code"]) == ({}, "interrupted")
        (part,) = read(tmp_path / "out").values()
        assert content.startswith(part)
        again = begin(*words)
        again.communicate(timeout=60)
        assert again.returncode == 0
        assert read(tmp_path / "out") == {"large": content}
