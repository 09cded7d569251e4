"""The page about every command, from its definition."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
from configuration import OURS
from tables import head

from juststorage.cli._main import juststorage
from juststorage.runtime import PluginHost

__all__ = ["page"]

_ABOUT = """\
What `juststorage --help` and the help of every command say, on one page. Plugins may add commands;
those of `juststorage-api` are among these.

Commands that work on the store itself, such as `serve` and `fsck`, take the
[configuration](configuration.md) of the service; those that speak with a server, such as `objects`
and `import`, take its address and a key.

With `--json` standard output is one document, or one a line for lists; `serve` and `gc worker`,
which run on, log JSON lines. What fails is told there as well, in one line, which is the last:
`{"error": {"code", "detail", "problems"}}`, where `code` is one of the
[problems](http.md#problems) of the HTTP interface, `misconfigured`, `wrong_usage`, `file_trouble`,
`not_repeatable`, `untrusted`, `backup_unreadable`, `incomplete` or `interrupted`, and `problems`
has a sentence for each thing that is wrong. A command that had done a part by then says so in other
members of that document. The exit code is the same with and without, and so is the sentence on
standard error.

Ctrl-C ends every command with exit code 130, and with a sentence that says whether the same command
goes on from there. `serve` and `gc worker` take it as SIGTERM: they end in order, with 0."""
_SECTION = re.compile(r"^(?P<title>Examples?|Exit codes):(?P<text>.*)", re.DOTALL)

_DOCUMENT = re.compile(r"\bdocs/([\w/-]+\.md)")


def page() -> str:
    """The whole page."""
    context = click.Context(juststorage, info_name="juststorage", max_content_width=100)
    context.meta["juststorage.host"] = PluginHost(enabled=OURS).load()
    parts = [head("Commands", written_by="the commands' definitions"), _ABOUT]
    parts += _group(juststorage, context)
    return "\n\n".join(parts) + "\n"


def _group(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        yield from _command(command, inner)
        if isinstance(command, click.Group):
            yield from _group(command, inner)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    depth = context.command_path.count(" ")
    yield f"{'#' * (depth + 1)} {context.command_path}"
    yield f"```bash\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
    for paragraph in _paragraphs(command.help):
        yield " ".join(paragraph.split())
    rows = []
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record and record[1] and "--help" not in option.opts:
            rows.append(f"- `{record[0]}`: {' '.join(record[1].split())}")
    if rows:
        yield "\n".join(rows)
    for paragraph in _paragraphs(command.epilog):
        yield _below(paragraph)


def _paragraphs(text: str | None) -> list[str]:
    """Without the marks that tell click not to fill them."""
    whole = inspect.cleandoc(text or "").partition("\f")[0]
    return [each for each in re.split(r"\n\s*\n", whole.replace("\b\n", "")) if each.strip()]


def _below(paragraph: str) -> str:
    """Examples as a block, exit codes as a list."""
    found = _SECTION.match(paragraph.strip())
    if found is None:
        return _DOCUMENT.sub(r"[\1](../\1)", " ".join(paragraph.split()))
    if found["title"].startswith("Example"):
        return f"```sh\n{inspect.cleandoc(found['text'])}\n```"
    text = " ".join(found["text"].split()).rstrip(".")
    codes = [each for each in re.split(r";\s+(?=\d)", text) if each]
    if not codes[0][0].isdigit():
        return f"Exit codes: {text}."
    return "Exit codes:\n\n" + "\n".join(
        f"- `{number}`: {meaning}" for number, _, meaning in (each.partition(" ") for each in codes)
    )
