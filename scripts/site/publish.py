"""Build or serve the documentation: `python scripts/site/publish.py build|serve [--port PORT]`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from pathlib import Path

from links import complaints
from tree import ROOT, Unplaced, lay_out

WORK = ROOT / ".site"
POLL_S = 1.0


def build(work: Path) -> Path:
    """Make the site, and check it.

    Returns:
        The directory to publish.

    Raises:
        SystemExit: Something is wrong; every complaint has been printed.
    """
    config = _laid_out(work)
    done = subprocess.run(
        [*_generator("build"), "--config-file", str(config), "--clean", "--strict"], check=False
    )
    if done.returncode:
        raise SystemExit("the generator has complaints: see the lines above")
    site = work / "html"
    found = list(complaints(site))
    if found:
        raise SystemExit("\n".join(found))
    count = len(list(site.rglob("*.html")))
    print(f"{count} pages in {site}: every link leads somewhere, nothing comes from elsewhere")
    return site


def serve(work: Path, port: int) -> None:
    """Serve it on loopback, made anew when a source changes, until Ctrl-C."""
    config = _laid_out(work)
    command = [
        *_generator("serve"),
        "--config-file",
        str(config),
        "--dev-addr",
        f"127.0.0.1:{port}",
    ]
    ended = threading.Event()
    with subprocess.Popen(command) as server:
        try:
            while server.poll() is None and not ended.wait(POLL_S):
                try:
                    lay_out(work)
                except Unplaced as error:
                    print(error, file=sys.stderr)
        except KeyboardInterrupt:
            server.terminate()
    if server.returncode > 0:
        raise SystemExit(server.returncode)


def _generator(act: str) -> list[str]:
    return [sys.executable, "-m", "zensical", act]


def _laid_out(work: Path) -> Path:
    try:
        return lay_out(work)
    except Unplaced as error:
        raise SystemExit(str(error)) from None


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/docs")
    parser.add_argument("act", choices=["build", "serve"])
    parser.add_argument("--directory", type=Path, default=WORK, help="where to build it")
    parser.add_argument("--port", type=int, default=8000, help="for serve")
    asked = parser.parse_args()
    if asked.act == "build":
        build(asked.directory.resolve())
    else:
        serve(asked.directory.resolve(), asked.port)


if __name__ == "__main__":
    main()
