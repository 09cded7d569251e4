"""The demonstration behind scripts/demo: a real server, real files, and what they cost.

Standard library only, and curl where there is one. Every failure names what is wrong and what to
do about it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client import Answer, Call, Client
from page import Failure, Page, pretty, size
from server import Server

README = Path("README.md")
MIB = 1024 * 1024
SLACK_MIB = 88
"""On the disk beside the large file and its copies: tables, logs, the file system's own."""


def main() -> int:
    """Run the demonstration; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the server running")
    parser.add_argument("--size-mib", type=int, default=256, help="size of the large file")
    options = parser.parse_args()
    page = Page()
    try:
        if not 1 <= options.size_mib <= 65_536:
            raise Failure("--size-mib must be from 1 to 65536")
        with work_place(options.size_mib, keep=options.keep) as place:
            Demo(page, place, options.size_mib * MIB).run(keep=options.keep)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped; everything is removed", file=sys.stderr)
        return 130
    return 0


@contextmanager
def work_place(size_mib: int, *, keep: bool) -> Iterator[Path]:
    """A temporary directory with enough room, removed at the end unless it is to be kept."""
    # The file, its stored copy, and the second upload until its bytes turn out to be there.
    needed = (3 * size_mib + SLACK_MIB) * MIB
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        raise Failure(
            f"{tempfile.gettempdir()} has {size(free)} free, and {size(needed)} are needed",
            "Take another place:    TMPDIR=/some/where/else scripts/demo",
            "Or a smaller file:     scripts/demo --size-mib 16",
        )
    place = Path(tempfile.mkdtemp(prefix="juststorage-demo-"))
    is_kept = False
    try:
        yield place
        is_kept = keep
    finally:
        if not is_kept:
            shutil.rmtree(place, ignore_errors=True)


class Demo:
    """The steps, in order."""

    def __init__(self, page: Page, place: Path, size_bytes: int) -> None:
        self.page = page
        self.data = place / "data"
        self.large = place / "model.bin"
        self.size_bytes = size_bytes
        self.server = Server(self.data, place / "server.log")

    def run(self, *, keep: bool) -> None:
        """All of it."""
        began = time.monotonic()
        self.page.headline("JustStorage: equal bytes are stored once")
        try:
            self.start()
            self.small_file()
            sha256 = self.large_file()
            self.same_bytes_again()
            self.look_around()
            self.verify(sha256)
            self.delete()
        except BaseException:
            self.server.kill()
            raise
        if keep:
            self.leave_running()
        else:
            self.stop()
        self.page.remark(f"\nAll of it in {time.monotonic() - began:.0f} s.")

    def start(self) -> None:
        """Start the server and tell the shell where it is."""
        self.page.step("Start a server: no database to install, no settings")
        self.page.command(f"juststorage serve --data-dir {self.data} --port 0")
        took_s = self.server.start()
        self.page.text(self.server.first_line())
        self.page.remark(f"Ready in {took_s:.1f} s. It made an admin key for us:")
        self.page.command(f"export URL={self.server.url}")
        self.page.command(f'export AUTH="Authorization: ApiKey $(cat {self.data}/admin.key)"')
        self.client = Client(self.server.url, (self.data / "admin.key").read_text().strip())
        if not self.client.has_curl:
            self.page.remark("(There is no curl here: Python makes the requests shown below.)")

    def small_file(self) -> None:
        """Upload the repository's README."""
        self.page.step("Upload a real file: the README of this repository")
        answer = self.show(
            Call(
                "PUT",
                "/v1/objects/by-key/demo/acme/README.md",
                file=README,
                headers={
                    "Content-Type": "text/markdown",
                    "X-Object-Metadata": json.dumps({"kind": "documentation"}),
                },
            ),
            expected=201,
        )
        self.page.answer(pretty(answer.document))
        self.expect_hash(answer, sha256_of(README))
        self.readme_id = answer.document["id"]

    def large_file(self) -> str:
        """Upload a file that was never seen before; its SHA-256."""
        self.page.step(f"Upload {size(self.size_bytes)} that nobody has seen before")
        sha256 = write_random(self.large, self.size_bytes)
        before = disk_usage(self.data)
        self.page.disk_usage(self.data, before)
        answer = self.show(
            Call("PUT", "/v1/objects/by-key/demo/acme/models/v1.bin", file=self.large), expected=201
        )
        self.page.answer(brief(answer.document))
        self.expect_hash(answer, sha256)
        self.after_first = disk_usage(self.data)
        self.page.disk_usage(self.data, self.after_first)
        rate = self.size_bytes / answer.took_s / 1e6
        self.page.remark(
            f"{size(self.size_bytes)} took {size(self.after_first - before)}; on disk and synced"
            f" before it was answered, at {rate:.0f} MB/s."
        )
        return sha256

    def same_bytes_again(self) -> None:
        """Upload the same bytes for somebody else."""
        self.page.step("The same bytes again: another key, another tenant")
        answer = self.show(
            Call("PUT", "/v1/objects/by-key/demo/umbrella/copy.bin", file=self.large), expected=201
        )
        self.page.answer(brief(answer.document))
        after = disk_usage(self.data)
        self.page.disk_usage(self.data, after)
        took = max(0, after - self.after_first)
        if took > max(self.size_bytes // 16, 4 * MIB) or took >= self.size_bytes:
            raise Failure(f"the second copy took {size(took)}: it should have taken next to none")
        self.page.remark(
            f"The second copy took {size(took)} of disk, for its row. Equal bytes are stored once."
        )

    def look_around(self) -> None:
        """List what is there, and read a piece of it."""
        self.page.step("What does tenant acme have?")
        answer = self.show(Call("GET", "/v1/objects?namespace=demo&tenant_id=acme"), expected=200)
        for entry in answer.document["objects"]:
            self.page.answer(brief(entry))
        self.page.step("Read the first 60 bytes of the README")
        answer = self.show(
            Call(
                "GET",
                f"/v1/objects/{self.readme_id}?tenant_id=acme",
                headers={"Range": "bytes=0-59"},
            ),
            expected=206,
        )
        self.page.answer(answer.body.decode(errors="replace"))
        if answer.body != README.read_bytes()[:60]:
            raise Failure("the range that came back is not that of the file")

    def verify(self, sha256: str) -> None:
        """Download the large file and compare."""
        self.page.step("Download it, and compare its SHA-256 with that of the file")
        call = Call("GET", "/v1/objects/by-key/demo/acme/models/v1.bin")
        self.page.command(f"{call.shown()} | sha256sum")
        got, took_s = self.client.digest(call)
        self.page.answer(f"{got}  -")
        self.page.command(f"sha256sum {self.large}")
        self.page.answer(f"{sha256}  {self.large}")
        if got != sha256:
            raise Failure("the bytes that came back are not those that were sent")
        self.page.remark(f"Equal; {self.size_bytes / took_s / 1e6:.0f} MB/s.")

    def delete(self) -> None:
        """Delete one of the two copies; the other one stays."""
        self.page.step("Delete it: the other tenant's copy stays")
        path = "/v1/objects/by-key/demo/acme/models/v1.bin"
        self.show(Call("DELETE", path), expected=204)
        answer = self.show(Call("GET", path), expected=404)
        self.page.answer(pretty(answer.document))
        self.show(Call("HEAD", "/v1/objects/by-key/demo/umbrella/copy.bin"), expected=200)

    def stop(self) -> None:
        """Stop the server in order."""
        self.page.step("Stop it, and remove everything")
        self.page.command(f"kill {self.server.pid}")
        code = self.server.stop()
        if code != 0:
            raise Failure(f"the server ended with exit code {code}", *self.server.last_lines())
        self.page.answer("exit code 0")

    def leave_running(self) -> None:
        """Say how to go on."""
        self.large.unlink()
        self.page.step("The server keeps running (--keep)")
        self.page.text("To use it, set URL and AUTH as in step 1, and for example:")
        call = Call("PUT", "/v1/objects/by-key/demo/acme/notes.txt", file=Path("notes.txt"))
        self.page.command(call.shown())
        self.page.text("What there is to call:")
        self.page.command('curl -s "$URL/schema/openapi.json"')
        self.page.text("To stop it, and then to remove everything:")
        self.page.command(f"kill {self.server.pid}")
        self.page.command(f"rm -r {self.data.parent}")

    def show(self, call: Call, *, expected: int) -> Answer:
        """Make a call, show both sides of it, and insist on its status."""
        self.page.command(call.shown())
        answer = self.client.call(call)
        took = f"{answer.took_s:.2f} s" if answer.took_s >= 1 else f"{answer.took_s * 1000:.0f} ms"
        self.page.answer(f"{answer.status}, {took}")
        if answer.status != expected:
            raise Failure(
                f"{call.method} {call.target} was answered with {answer.status},"
                f" and {expected} was expected:",
                answer.body[:2000].decode(errors="replace"),
                "The last lines of the server's log:",
                *self.server.last_lines(),
            )
        return answer

    def expect_hash(self, answer: Answer, sha256: str) -> None:
        """Insist that the server has named the bytes by their hash."""
        if answer.document["content_hash"] != f"sha256:{sha256}":
            raise Failure(f"the server has named the bytes {answer.document['content_hash']}")


def brief(entry: dict[str, Any]) -> str:
    """The members of an object that matter here."""
    first = ", ".join(
        f"{json.dumps(name)}: {json.dumps(entry[name])}"
        for name in ("tenant_id", "key", "size_bytes")
    )
    return f'{{..., {first},\n      "content_hash": {json.dumps(entry["content_hash"])}, ...}}'


def write_random(path: Path, count: int) -> str:
    """Fill a file with bytes that no store has; their SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while count > 0:
            block = secrets.token_bytes(min(count, MIB))
            digest.update(block)
            file.write(block)
            count -= len(block)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_usage(root: Path) -> int:
    """Bytes on the disk below a directory, as `du -s` counts them."""
    if shutil.which("du"):
        shown = subprocess.run(["du", "-sk", root], capture_output=True, text=True, check=False)
        if shown.stdout:
            return int(shown.stdout.split()[0]) * 1024
    return sum(
        (Path(folder) / name).lstat().st_blocks * 512
        for folder, folders, names in os.walk(root)
        for name in (*folders, *names)
    )


if __name__ == "__main__":
    sys.exit(main())
