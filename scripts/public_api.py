"""Write the public API of all packages to a file: `python scripts/public_api.py FILE`.

Every name that a public module offers, with signatures, bases and public members: what authors of
plugins and applications may rely on. A change of it is a change of this text.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import msgspec

MODULES = (
    "juststorage",
    "juststorage.cli",
    "juststorage.config",
    "juststorage.domain",
    "juststorage.errors",
    "juststorage.metrics",
    "juststorage.plugins",
    "juststorage.plugins.builtin",
    "juststorage.plugins.memory",
    "juststorage.ports",
    "juststorage.runtime",
    "juststorage.testing",
    "juststorage.testing.faults",
    "juststorage.testing.fixtures",
    "juststorage.usecases",
    "juststorage_api",
    "juststorage_api.application",
    "juststorage_api.plugin",
    "juststorage_api.testing",
    "juststorage_api.testing.fixtures",
    "juststorage_localfs",
    "juststorage_localfs.plugin",
    "juststorage_localfs.testing",
    "juststorage_objectstore",
    "juststorage_objectstore.plugin",
    "juststorage_objectstore.testing",
    "juststorage_postgres",
    "juststorage_postgres.plugin",
    "juststorage_postgres.testing",
    "juststorage_postgres.testing.stoppable",
    "juststorage_sqlite",
    "juststorage_sqlite.plugin",
)

# Where a type comes from is not what is promised: modules may move behind the public names.
_MODULE = re.compile(
    r"\b(?:juststorage(?:_\w+)?(?:\.\w+)*|typing|datetime|pathlib|msgspec)\.(?=\w)"
)
_STARS: dict[object, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_LINE_MAX = 120


def text() -> str:
    """The whole record, sorted, so that a diff shows what changed and no more."""
    head = (
        "# Written by scripts/public-api: the names that others may rely on."
        " A change is a change of the API.\n"
    )
    return head + "".join(
        f"\n## {module}\n\n" + "".join(f"{line}\n" for line in _module(module))
        for module in MODULES
    )


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    for public in sorted(module.__all__):
        yield from _described(public, getattr(module, public))


def _described(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value) and name == value.__name__:
        yield from _class(value)
    elif inspect.isroutine(value):
        yield f"{_def(value)} {name}{_signature(value)}"
    elif inspect.isclass(value):
        yield f"{name} = {value.__name__}"
    elif inspect.ismodule(value):
        yield f"{name}: module"
    elif isinstance(value, str | int | float | frozenset | tuple) and not name.startswith("__"):
        yield f"{name}: {type(value).__name__} = {_default(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def _class(value: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    yield f"class {value.__name__}" + (f"({bases})" if bases else "")
    if issubclass(value, enum.Enum):
        yield from (f"    {each.name} = {each.value!r}" for each in value)
    elif _is_ours(value.__init__) or issubclass(value, msgspec.Struct):
        yield f"    def __init__{_signature(value)}"
    fields = {*getattr(value, "__struct_fields__", ())}
    if dataclasses.is_dataclass(value):
        fields |= {field.name for field in dataclasses.fields(value)}
    for name in sorted(_members(value) - fields):
        yield from _member(value, name)


def _members(value: type) -> set[str]:
    """What it and its bases of ours define or annotate."""
    names: set[str] = set()
    for each in value.__mro__:
        if each.__module__.startswith("juststorage"):
            names |= {*vars(each), *vars(each).get("__annotations__", ())}
    if issubclass(value, enum.Enum):
        names -= set(value.__members__)
    return {name for name in names if not name.startswith("_")}


def _member(owner: type, name: str) -> Iterator[str]:
    value = inspect.getattr_static(owner, name, None)
    if isinstance(value, classmethod | staticmethod):
        word = type(value).__name__
        yield f"    @{word} {_def(value.__func__)} {name}{_signature(value.__func__)}"
    elif isinstance(value, property):
        returns = _signature(value.fget).partition(" -> ")[2] if value.fget else ""
        yield f"    {name}: {returns or 'property'}"
    elif inspect.isfunction(value):
        abstract = "@abstract " if getattr(value, "__isabstractmethod__", False) else ""
        yield f"    {abstract}{_def(value)} {name}{_signature(value)}"
    else:
        noted = [vars(each).get("__annotations__", {}) for each in owner.__mro__]
        kind = next((each[name] for each in noted if name in each), type(value).__name__)
        if isinstance(kind, typing.ForwardRef):  # as a named tuple keeps what it was told
            kind = kind.__forward_arg__
        shown = f" = {value!r}" if isinstance(value, str | int | float | bool) else ""
        yield f"    {name}: {kind}{shown}"


def _is_ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).startswith("juststorage")


def _def(value: Any) -> str:
    return "async def" if inspect.iscoroutinefunction(value) else "def"


def _signature(value: Any) -> str:
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    parameters: list[str] = []
    marks = {"*"}
    for each in found.parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" in marks:
            marks.discard("*")
            parameters.append("*")
        stars = _STARS.get(each.kind, "")
        if stars == "*":
            marks.discard("*")
        noted = "" if each.annotation is each.empty else f": {_type(each.annotation)}"
        default = "" if each.default is each.empty else f" = {_default(each.default)}"
        parameters.append(f"{stars}{each.name}{noted}{default}")
        if each.kind is each.POSITIONAL_ONLY and _is_last_positional_only(found, each):
            parameters.append("/")
    noted = found.return_annotation
    returns = "" if noted is found.empty or noted is None else f" -> {_type(noted)}"
    line = f"({', '.join(parameters)}){returns}"
    if len(line) <= _LINE_MAX:
        return line
    # A line each, so that a diff shows the one that changed.
    return "(" + "".join(f"\n        {each}," for each in parameters) + f"\n    ){returns}"


def _is_last_positional_only(found: inspect.Signature, last: inspect.Parameter) -> bool:
    only = [each for each in found.parameters.values() if each.kind is each.POSITIONAL_ONLY]
    return only[-1] is last


def _type(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if typing.get_origin(annotation) is typing.Annotated:
        return _type(typing.get_args(annotation)[0])  # bounds and descriptions are documentation
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return _MODULE.sub("", str(annotation))


def _default(value: Any) -> str:
    if inspect.isroutine(value):
        return str(value.__name__)
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, tuple) and any(dataclasses.is_dataclass(each) for each in value):
        # What is in them is documentation, and some of it depends on the machine.
        return f"({', '.join(getattr(each, 'name', type(each).__name__) for each in value)})"
    if isinstance(value, frozenset):
        members = ", ".join(sorted(map(_default, value)))  # a set has no order of its own
        return f"frozenset({{{members}}})" if value else "frozenset()"
    # A struct's own default is told where the struct is.
    return f"{type(value).__name__}()" if isinstance(value, msgspec.Struct) else repr(value)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text())
