"""Write the pages about each kind of plugin: `python scripts/plugin_pages.py DIRECTORY`.

Everything in them comes from docstrings, templates and the kit. A port whose docstring does not
speak of durability, cancellation, errors and concurrency stops this program.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from source_docs import (
    Class,
    Function,
    class_of,
    described,
    doc,
    first_sentence,
    module_doc,
    source_module,
)

from juststorage import domain, errors, testing
from juststorage.cli import _scaffold
from juststorage.plugins._records import HOOKS, KIND_WORDS, RESERVED_COMMANDS

TEMPLATES = Path(_scaffold.__file__).with_name("_templates")
HEAD = "<!-- Written by scripts/plugin-pages from docstrings: change those, then run it. -->\n"
DESCRIPTORS = "juststorage.plugins._descriptors"
HASH = "juststorage.domain._content_hash"
DOCS = Path(__file__).parents[1] / "docs"
OPTIONS = (
    "Options are yours; [what all kinds share](common.md#options) says how they are written. The"
    " backend above is configured so:"
)
PROMISES = ("Durability", "Cancellation", "Errors", "Concurrency")
EXAMPLES = {
    "blob_store": "[juststorage-fsspec](../../examples/juststorage-fsspec/README.md)",
    "hasher": "[juststorage-blake3](../../examples/juststorage-blake3/README.md)",
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of plugin, and where what is said of it stands."""

    name: str
    ports: tuple[str, ...] = ()
    """Modules of `juststorage.ports`; the first has the docstring about the whole."""
    also: tuple[tuple[str, str], ...] = ()
    """Further classes and functions that an author meets: (module, name)."""
    contract: str = "PluginContract"


KINDS = (
    Kind(
        name="metadata_store",
        ports=(
            "_metadata_store",
            "_objects",
            "_blobs",
            "_api_keys",
            "_usage",
            "_tallies",
            "_backups",
            "_audit",
            "_idempotency",
        ),
        also=(
            (DESCRIPTORS, "Migrator"),
            (DESCRIPTORS, "MigrationStatus"),
        ),
        contract="MetadataStoreContract",
    ),
    Kind(
        name="blob_store",
        ports=("_blob_store", "_staged_blob"),
        also=((HASH, "ContentHash"),),
        contract="BlobStoreContract",
    ),
    Kind(
        name="hasher",
        ports=("_hasher",),
        also=((HASH, "ContentHash"),),
        contract="HasherContract",
    ),
    Kind(
        name="authenticator",
        ports=("_authenticator",),
        also=(
            ("juststorage.domain._access", "Principal"),
            ("juststorage.domain._access", "Scope"),
            ("juststorage.domain._names", "NamespacePattern"),
        ),
        contract="AuthenticatorContract",
    ),
    Kind(
        name="gc_policy",
        ports=("_gc_policy",),
        also=(
            ("juststorage.domain._blob", "Blob"),
            ("juststorage.domain._blob", "BlobKey"),
            ("juststorage.ports._blob_store", "Space"),
        ),
        contract="GCPolicyContract",
    ),
    Kind(
        name="command",
        also=(
            ("juststorage.cli._options", "config_options"),
            ("juststorage.cli._json", "json_option"),
            ("juststorage.cli._progress", "Progress"),
            ("juststorage.cli._options", "ConfigSource"),
            ("juststorage.runtime._open", "open_runtime"),
            ("juststorage.runtime._runtime", "Runtime"),
            ("juststorage.runtime._usecases", "UseCases"),
            ("juststorage.domain._object", "StoredObject"),
        ),
    ),
)


def page(kind: Kind) -> str:
    """The page about a kind."""
    descriptor = class_of(DESCRIPTORS, _descriptor_type(kind).__name__)
    about = module_doc(f"juststorage.ports.{kind.ports[0]}") if kind.ports else descriptor.doc
    title, _, promise = about.partition("\n\n")
    references = [*_port_classes(kind), *(described(*each) for each in kind.also)]
    parts = [
        HEAD + f"# {_title(kind)}",
        _capital(title.partition(": ")[2] if kind.ports else title),
        _facts(kind, descriptor),
        "## What it promises",
        _promises(kind.name, promise),
        "## The descriptor",
        _descriptor(kind, descriptor),
        "## Capabilities",
        _capabilities(kind, descriptor),
        "## Options and configuration",
        OPTIONS if kind.ports else "Its options are those of its `click.Command`.",
        _usage(kind.name),
        "## Reference",
        *(each.reference() for each in references),
        *_words(references),
        *_errors(references, promise),
        *_kit(kind),
    ]
    return _finished(parts)


def common() -> str:
    """The page about what all kinds share."""
    context = "juststorage.plugins._context"
    hooks = [f"| `{hook}` | [{each.kind}]({each.kind}.md) |" for hook, each in HOOKS.items()]
    return _finished(
        [
            HEAD + "# What all kinds of plugins share",
            "## Hooks",
            doc(module_doc("juststorage.plugins._hookspecs").partition("\n\n")[2]),
            "\n".join(["| hook | what it yields |", "|---|---|", *hooks]),
            "## Descriptors",
            doc(class_of(DESCRIPTORS, "Backend").doc),
            "## Options",
            "A frozen `msgspec.Struct`; an unknown key, a wrong type and a value out of bounds"
            " are refused at start-up, with the path of the setting. Environment"
            " variables spell the same tree: `JUSTSTORAGE__BLOBS__HOT__TAPE__ROOT`."
            " `juststorage plugins show NAME` lists them, with a description each.",
            doc(class_of("juststorage.plugins._secret", "Secret").doc),
            "## What a backend is given",
            doc(class_of(context, "OpenContext").doc),
            *(class_of(context, name).reference() for name in ("Background", "Gauge")),
            "## Errors",
            doc(module_doc("juststorage.errors")),
            _error_table(set(errors.__all__)),
            "## The kit",
            doc(inspect.getdoc(testing) or ""),
            *_contract_parts("PluginContract"),
        ]
    )


def _finished(parts: Iterable[str]) -> str:
    text = "\n\n".join(parts).rstrip() + "\n"
    text = text.replace("See the module for", "See [what it promises](#what-it-promises) for")
    return re.sub(r"docs/adr/(\d{4})(?!\d|-)", lambda it: _decision(it[1]), text)


def _decision(number: str) -> str:
    [path] = DOCS.glob(f"adr/{number}-*.md")
    return f"[decision {number}](../adr/{path.name})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _descriptor_type(kind: Kind) -> type[Any]:
    return next(each for each in HOOKS.values() if each.kind == kind.name)


def _title(kind: Kind) -> str:
    return _capital(KIND_WORDS[kind.name])


def _facts(kind: Kind, descriptor: Class) -> str:
    hook = next(hook for hook, each in HOOKS.items() if each.kind == kind.name)
    rows = [
        ("begin with", f"`juststorage plugins new {kind.name} NAME`"),
        ("hook", f"`{hook}`, which yields `{descriptor.name}`"),
    ]
    if kind.ports:
        port = _port_classes(kind, 1)[0].name
        rows.append(("port", f"`juststorage.ports.{port}`, an abstract class"))
    contracts = {kind.contract, "PluginContract"}
    rows.append(("kit", ", ".join(f"`juststorage.testing.{each}`" for each in sorted(contracts))))
    if kind.name in EXAMPLES:
        rows.append(("a whole one", EXAMPLES[kind.name]))
    rows.append(("also read", "[what all kinds share](common.md), [tutorial](tutorial.md)"))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def _port_classes(kind: Kind, only: int | None = None) -> list[Class]:
    """The public classes of the port's modules; the ports first, then what they are called with."""
    ports: list[Class] = []
    values: list[Class] = []
    for module in kind.ports:
        name = f"juststorage.ports.{module}"
        public = importlib.import_module(name).__all__
        for node in source_module(name).body:
            if isinstance(node, ast.ClassDef) and node.name in public:
                found = class_of(name, node.name)
                (ports if {"ABC", "Protocol"} & set(found.bases) else values).append(found)
    # The store or the hasher itself before the parts that it hands out.
    main = "".join(part.capitalize() for part in kind.name.split("_")).replace("Gc", "GC")
    ports.sort(key=lambda each: each.name != main)
    return [*ports, *values][:only]


def _promises(name: str, text: str) -> str:
    missing = [each for each in PROMISES if f"**{each}.**" not in text]
    if missing:
        raise SystemExit(f"{name}: the docstring says nothing about {', '.join(missing)}")
    text = re.sub(r"(?m)^\*\*([^*]+)\.\*\* ", r"### \1\n\n", text)
    return doc(text.partition("\n\nArgs:")[0])


def _filled(kind: str, file: str) -> str:
    words = {**_scaffold._words(kind, "mine")}  # noqa: SLF001  what writes packages, writes this
    return Template((TEMPLATES / kind / file).read_text()).substitute(words).strip("\n")


def _descriptor(kind: Kind, descriptor: Class) -> str:
    code = _filled(kind.name, "src/__package__/plugin.py.tmpl")
    if kind.ports:
        about = doc(descriptor.doc)
    else:
        about = doc("Args:" + descriptor.doc.partition("Args:")[2])
        about += f"\n\nCore's own commands are {', '.join(sorted(RESERVED_COMMANDS))}."
    return (
        f"{about}\n\nThe module that the entry point of"
        f" `juststorage plugins new {kind.name} mine` names:\n\n```python\n{code}\n```"
    )


def _capabilities(kind: Kind, descriptor: Class) -> str:
    fields = {field.partition(":")[0] for field, _ in descriptor.fields()}
    if "capabilities" in fields:
        return doc(class_of(DESCRIPTORS, "BlobCapabilities").doc)
    return "`durable`, as above." if "durable" in fields else "None to declare."


def _usage(kind: str) -> str:
    usage = _filled(kind, "_usage.md.tmpl")
    word = "sh" if kind == "command" else "toml"
    fenced = re.sub(
        r"(?:^    .*\n?)+",
        lambda it: f"```{word}\n{inspect.cleandoc(it[0])}\n```\n",
        usage,
        count=1,
        flags=re.MULTILINE,
    )
    return fenced.strip()


def _words(classes: Sequence[Class | Function]) -> Iterator[str]:
    """The types of the domain that the reference names, each with its summary."""
    named = set().union(*(each.names() for each in classes)) if classes else set()
    named -= {each.name for each in classes}
    rows = [
        f"| `{name}` | {first_sentence(inspect.getdoc(getattr(domain, name)) or '')} |"
        for name in sorted(named & set(domain.__all__))
        if inspect.isclass(getattr(domain, name)) and getattr(domain, name) is not str
    ]
    if rows:
        yield "## Words of the domain"
        yield (
            "From `juststorage.domain`. Their fields are in [public-api.txt](../public-api.txt),"
            " what they mean in the [glossary](../glossary.md)."
        )
        yield "\n".join(["| type | what it is |", "|---|---|", *rows])


def _errors(classes: Sequence[Class | Function], promise: str) -> Iterator[str]:
    named = set().union(*(each.raises() for each in classes)) if classes else set()
    named |= set(re.findall(r"`(\w+)`", promise))
    found = named & set(errors.__all__)
    if found:
        yield "## Errors that callers rely on"
        yield "Any other of [the tree](common.md#errors) may be raised where it says more."
        yield _error_table(found)


def _error_table(names: set[str]) -> str:
    rows = ["| error | code | is a | again? | when |", "|---|---|---|---|---|"]
    for name, error in vars(errors).items():
        if name in names:
            base = "" if error is errors.JustStorageError else f"`{error.__bases__[0].__name__}`"
            again = "yes" if error.retryable else "no"
            summary = first_sentence(inspect.getdoc(error) or "")
            rows.append(f"| `{name}` | `{error.code}` | {base} | {again} | {summary} |")
    return "\n".join(rows)


def _kit(kind: Kind) -> Iterator[str]:
    yield "## What the kit tests"
    if kind.contract == "PluginContract":
        yield (
            "`PluginContract`, as [for all kinds](common.md#plugincontract); what the command does"
            " is yours to test."
        )
        return
    yield "Besides `PluginContract`, which tests [the plugin as a whole](common.md#plugincontract):"
    yield from _contract_parts(kind.contract)


def _contract_parts(name: str) -> Iterator[str]:
    """What a subclass of a contract may give, and every test with its sentence."""
    contract: Any = getattr(testing, name)
    yield f"### {name}"
    yield doc(inspect.getdoc(contract) or "")
    parts = [*contract.__bases__, contract]
    ours = [*(each for each in reversed(contract.__mro__) if each not in parts), *parts]
    given: list[str] = []
    rows = ["| test | the rule |", "|---|---|"]
    for each in ours:
        if not each.__module__.startswith("juststorage.testing"):
            continue
        found = class_of(each.__module__, each.__name__)
        for text, below in found.fields():
            if below:
                given.append(f"- `{text.partition(':')[0]}`: {first_sentence(below)}")
        for method in found.methods():
            about = first_sentence(inspect.getdoc(getattr(each, method.name)) or "")
            if method.name.startswith("test_"):
                rows.append(f"| `{method.name}` | {about} |")
            elif any("fixture" in ast.unparse(each) for each in method.decorator_list):
                given.append(f"- fixture `{method.name}`: {about}")
    yield "What a subclass sets, or overrides where it does not fit:"
    yield "\n".join(dict.fromkeys(given))
    yield "\n".join(rows)


def write(directory: Path) -> None:
    """Write all pages."""
    directory.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (directory / f"{kind.name}.md").write_text(page(kind), encoding="utf-8")
    (directory / "common.md").write_text(common(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
