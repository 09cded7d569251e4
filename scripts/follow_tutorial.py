"""Do what a tutorial says: `python scripts/follow_tutorial.py DOCUMENT DIRECTORY`.

Its fenced blocks, in their order, in one shell that starts in the directory. Those in comments,
which readers do not see, make what a reader would have already:

- `sh`: run; must end with 0, or with N for `sh exit=N`. `sh environment` makes the environment. In
  `sh until-ready` each `juststorage serve` is stopped once it is ready, as Ctrl-C would;
- `text` after `sh`: each line must be in what that printed, in this order; `...` is anything;
- `toml file=NAME`, `python file=NAME`, ...: written to the file, which the text before must name;
- `toml` without a file: a configuration, which `juststorage config check` must accept;
- `diff`: applied with `git apply`; `sql`: told to PostgreSQL;
- a block without a word is a picture: of a layout, of a formula.

Any other block is an error: whatever is shown is checked. What is done by a test of its own, or
cannot be done by any, has a comment right above it: `<!-- run by: tests/that.py -->`, or
`<!-- not run: it needs a cluster -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks", "follow"]

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
# What runs in the background ends with the document, however that ends.
_BEGIN = "set -e\ntrap 'jobs -p | xargs -r kill 2>/dev/null; wait' EXIT"
_PASSED_OVER = re.compile(r"<!-- (?P<how>not run|run by): (?P<what>[^\n]+) -->\Z")
# What a configuration has besides the part of it that a document shows.
_REST = {
    "metadata": "JUSTSTORAGE__METADATA__BACKEND=sqlite",
    "blobs": "JUSTSTORAGE__BLOBS__HOT__BACKEND=localfs",
}
_UNTIL_READY = """juststorage() {
    [ "$1" = serve ] || { command juststorage "$@"; return; }
    command juststorage "$@" &
    curl -fsS --retry 60 --retry-delay 1 --retry-connrefused -o /dev/null \\
        "http://127.0.0.1:${JUSTSTORAGE__SERVER__PORT:-8080}/health/ready"
    kill %% && wait %%
}
.venv/bin/juststorage() { juststorage "$@"; }
"""
_MARK = "@@@ block {}"
_END = "END_OF_THIS_FILE"


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    line: int
    word: str
    options: Mapping[str, str]
    text: str
    before: str
    """The paragraph before it."""

    @property
    def passed_over(self) -> tuple[str, str] | None:
        """`not run` and why; `run by` and which test; None where it is followed."""
        found = _PASSED_OVER.search(self.before)
        return found and (found["how"], found["what"])


class Stumbled(Exception):
    """The document says something that is not so."""


def blocks(document: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown document."""
    for match in _BLOCK.finditer(document):
        word, *rest = match["info"].split() or [""]
        options = {name: value for name, _, value in (each.partition("=") for each in rest)}
        before = document[: match.start()].rstrip().rpartition("\n\n")[2]
        line = document.count("\n", 0, match.start()) + 1
        text = re.sub(rf"(?m)^{match['indent']}", "", match["text"])
        yield Block(line, word, options, text, before)


def follow(document: str, directory: Path, *, environment: str | None = None) -> None:
    """Follow it.

    Args:
        document: The Markdown text.
        directory: Where a reader would begin; empty.
        environment: Commands to run in place of the blocks `sh environment`, which need an index.

    Raises:
        Stumbled: Something went another way than the document says.
    """
    found = list(blocks(document))
    script = "\n".join([_BEGIN, *(_step(each, environment) for each in found)])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(directory.parent)},
    )
    outputs = _outputs(done.stdout)
    if done.returncode:
        last = max(outputs, default=0)
        raise Stumbled(f"line {last}: ended with {done.returncode}\n{outputs.get(last, '')}")
    said = 0
    for block in found:
        if block.passed_over:
            continue
        if block.word == "sh":
            said = block.line
        elif block.word == "text":
            _compare(block, outputs[said])


def _step(block: Block, environment: str | None) -> str:
    """The shell commands that do what a block says."""
    # On a line of its own, whatever was printed last.
    mark = f"printf '\\n%s\\n' '{_MARK.format(block.line)}'\n"
    if block.passed_over:
        return ""
    if block.word == "sh":
        if "environment" in block.options and environment is not None:
            return mark + environment
        if "until-ready" in block.options:
            return f"{mark}(\n{_UNTIL_READY}{block.text})"
        code = block.options.get("exit")
        if code is None:
            return mark + block.text
        return (
            f"{mark}set +e\n(set -e\n{block.text})\ncode=$?\nset -e\n"
            f'[ "$code" = {code} ] || {{ echo "exit code $code, not {code}"; exit 1; }}'
        )
    if block.word == "diff":
        return f"{mark}git apply - <<'{_END}'\n{block.text}{_END}"
    if "file" in block.options:
        name = block.options["file"]
        if f"`{name}`" not in block.before:
            raise Stumbled(f"line {block.line}: the text before it does not name {name}")
        return (
            f"{mark}mkdir -p \"$(dirname '{name}')\"\ncat >'{name}' <<'{_END}'\n{block.text}{_END}"
        )
    if block.word == "sql":
        return f"{mark}psql --quiet --set ON_ERROR_STOP=1 <<'{_END}'\n{block.text}{_END}"
    if block.word == "toml":
        check = "juststorage config check --config .checked.toml\nrm .checked.toml"
        rest = "".join(f"{name} " for part, name in _REST.items() if f"[{part}" not in block.text)
        return f"{mark}cat >.checked.toml <<'{_END}'\n{block.text}{_END}\n{rest}{check}"
    if block.word in {"text", "mermaid", ""}:  # what is seen, and what is drawn
        return ""
    raise Stumbled(f"line {block.line}: nobody checks a block `{block.word}` without a file")


def _outputs(text: str) -> dict[int, str]:
    """What each block printed, by its line."""
    pieces = re.split(r"(?m)^@@@ block (\d+)\n", text)[1:]
    return {int(line): said for line, said in zip(pieces[::2], pieces[1::2], strict=True)}


def _compare(block: Block, said: str) -> None:
    rest = said
    for line in block.text.splitlines():
        pattern = r".*".join(re.escape(" ".join(each.split())) for each in line.split("..."))
        pattern = pattern.replace(r"\ ", r"[ ]*")
        match = re.search(pattern, _even(rest))
        if match is None:
            raise Stumbled(f"line {block.line}: not said: {line}\nWhat was said:\n{said}")
        rest = _even(rest)[match.end() :]


def _even(text: str) -> str:
    """Without the width of columns."""
    return re.sub(r"[ ]+", " ", text)


if __name__ == "__main__":
    try:
        follow(Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2]).resolve())
    except Stumbled as error:
        sys.exit(f"{sys.argv[1]}, {error}")
