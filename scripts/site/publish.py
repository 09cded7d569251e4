"""Build or serve the documentation, or look at its links: `python scripts/site/publish.py ACT`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from pathlib import Path

from elsewhere import elsewhere, malformed, unanswered
from links import complaints
from tree import ROOT, Unplaced, lay_out, sources

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


def links(*, external: bool) -> None:
    """List the links that lead elsewhere, and check their form; `external`: fetch them.

    Raises:
        SystemExit: Something is wrong; every complaint has been printed.
    """
    found = elsewhere(ROOT, sources())
    wrong = list(malformed(found))
    if external and not wrong:
        wrong = unanswered(found)
    for link, documents in found.items():
        print(link, *documents, sep="\n    ")
    if wrong:
        raise SystemExit("\n".join(wrong))
    said = "answers" if external else "is well formed; nobody was asked: --external does that"
    print(f"{len(found)} links lead elsewhere, and each {said}")


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
    parser.add_argument("act", choices=["build", "serve", "links"])
    parser.add_argument("--directory", type=Path, default=WORK, help="where to build it")
    parser.add_argument("--port", type=int, default=8000, help="for serve")
    parser.add_argument("--external", action="store_true", help="for links: fetch them")
    asked = parser.parse_args()
    if asked.act == "build":
        build(asked.directory.resolve())
    elif asked.act == "links":
        links(external=asked.external)
    else:
        serve(asked.directory.resolve(), asked.port)


if __name__ == "__main__":
    main()
