"""What a module's source says of itself, as Markdown: classes, methods, fields and docstrings.

Read from the source and not from the live objects, because the order of definition, the docstrings
below attributes, and annotations as they were written are only there.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = [
    "Class",
    "Function",
    "class_of",
    "described",
    "doc",
    "first_sentence",
    "module_doc",
    "signature",
    "source_module",
]

_SECTION = re.compile(r"(Args|Raises|Returns|Yields):")
_ITEM = re.compile(r"    (?P<name>\*?\w[\w, ]*): (?P<text>.*)")
_LINE_MAX = 100
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def source_module(name: str) -> ast.Module:
    """The syntax tree of a module."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise LookupError(f"there is no module {name}")
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def module_doc(name: str) -> str:
    """The docstring of a module, cleaned."""
    return _required(ast.get_docstring(source_module(name)), name)


def class_of(module: str, name: str) -> Class:
    """A class at the top of a module."""
    for node in source_module(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return Class(node)
    raise LookupError(f"{module} defines no class {name}")


def described(module: str, name: str) -> Class | Function:
    """A class or a function at the top of a module."""
    for node in source_module(module).body:
        if isinstance(node, _Function) and node.name == name:
            return Function(node)
    return class_of(module, name)


class Function:
    """A function as its source shows it."""

    def __init__(self, node: _Function) -> None:
        self._node = node
        self.name = node.name
        self.doc = _required(ast.get_docstring(node), node.name)

    def names(self) -> set[str]:
        """Every identifier in its signature."""
        return {each.id for each in ast.walk(self._node.args) if isinstance(each, ast.Name)}

    def raises(self) -> set[str]:
        """The errors that its docstring names under Raises."""
        return _raises(self.doc)

    def reference(self) -> str:
        """Its signature and docstring."""
        decorators = [f"@{ast.unparse(each)}" for each in self._node.decorator_list]
        code = "\n".join([*decorators, signature(self._node)])
        return "\n\n".join([f"### {self.name}", _code(code), doc(self.doc)])


class Class:
    """A class as its source shows it."""

    def __init__(self, node: ast.ClassDef) -> None:
        self._node = node
        self.name = node.name
        self.doc = _required(ast.get_docstring(node), node.name)

    @property
    def bases(self) -> list[str]:
        """The names of its bases, without parameters."""
        return [ast.unparse(base).partition("[")[0] for base in self._node.bases]

    def methods(self) -> Iterator[_Function]:
        """Its public methods, in the order of the source."""
        for node in self._node.body:
            if isinstance(node, _Function) and (node.name[0] != "_" or node.name == "__call__"):
                yield node

    def fields(self) -> Iterator[tuple[str, str | None]]:
        """Its annotated or assigned public names as written, each with the docstring below it."""
        body = self._node.body
        for node, following in zip(body, [*body[1:], None], strict=True):
            target = _target(node)
            if target is not None and not target.startswith("_"):
                yield ast.unparse(node), _string(following)

    def names(self) -> set[str]:
        """Every identifier in its annotations: what a reader may want to look up."""
        return {each.id for each in ast.walk(self._node) if isinstance(each, ast.Name)} | {
            word
            for each in ast.walk(self._node)
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
            for word in re.findall(r"`(\w+)`", each.value)
        }

    def raises(self) -> set[str]:
        """The errors that docstrings of its methods name under Raises."""
        return {
            name for method in self.methods() for name in _raises(ast.get_docstring(method) or "")
        }

    def reference(self) -> str:
        """The class, its fields and its methods."""
        parts = [f"### {self.name}", doc(self.doc)]
        fields = list(self.fields())
        if fields:
            parts.append(_code("\n".join(text for text, _ in fields)))
            parts += [
                f"`{text.partition(':')[0].partition(' ')[0]}`: {doc(inspect.cleandoc(below))}"
                for text, below in fields
                if below
            ]
        for method in self.methods():
            parts += self._method(method)
        return "\n\n".join(parts)

    def _method(self, method: _Function) -> Iterator[str]:
        decorators = {ast.unparse(each) for each in method.decorator_list}
        is_port = "ABC" in self.bases
        mark = ""
        if is_port:
            mark = "" if "abstractmethod" in decorators else " (has a default)"
        yield f"#### `{self.name}.{method.name}`{mark}"
        yield _code(signature(method))
        text = ast.get_docstring(method)
        if text:
            yield doc(text)


def signature(method: _Function) -> str:
    """The `def` line, one parameter a line where it would be too long."""
    word = "async def" if isinstance(method, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(method.returns)}" if method.returns else ""
    arguments = ast.unparse(method.args)
    # Spaces around the sign of a default that has a type, as formatters want it.
    parameters = [
        each.replace("=", " = ", 1) if ": " in each else each
        for each in (_split(arguments) if arguments else [])
    ]
    line = f"{word} {method.name}({', '.join(parameters)}){returns}"
    if len(line) <= _LINE_MAX:
        return line
    lines = "".join(f"    {each},\n" for each in parameters)
    return f"{word} {method.name}(\n{lines}){returns}"


def doc(text: str) -> str:
    """A cleaned docstring as Markdown: Google sections become lists, all else is Markdown."""
    parts: list[str] = []
    for section, body in _sections(text):
        if section is None:
            parts.append(body.strip())
        elif section in {"Returns", "Yields"}:
            parts.append(f"**{section}**: {_joined(body)}")
        else:
            items = "\n".join(f"- `{name}`: {_joined(about)}" for name, about in _items(body))
            parts.append(f"**{section}**\n\n{items}")
    return "\n\n".join(part for part in parts if part)


def first_sentence(text: str) -> str:
    """The summary of a docstring."""
    return _joined(text.strip().partition("\n\n")[0])


def _sections(text: str) -> Iterator[tuple[str | None, str]]:
    name: str | None = None
    lines: list[str] = []
    for line in text.splitlines():
        match = _SECTION.fullmatch(line)
        if match or (name is not None and line and not line.startswith(" ")):
            yield name, "\n".join(lines)
            name, lines = (match[1], []) if match else (None, [line])
        else:
            lines.append(line)
    yield name, "\n".join(lines)


def _raises(text: str) -> set[str]:
    return {
        name.strip()
        for section, body in _sections(text)
        if section == "Raises"
        for names, _ in _items(body)
        for name in names.split(",")
    }


def _items(text: str) -> Iterator[tuple[str, str]]:
    name, lines = "", [""]
    for line in text.splitlines():
        match = _ITEM.fullmatch(line)
        if match:
            if name:
                yield name, "\n".join(lines)
            name, lines = match["name"], [match["text"]]
        else:
            lines.append(line)
    if name:
        yield name, "\n".join(lines)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _split(arguments: str) -> list[str]:
    """Arguments as written, split at the commas that are not inside brackets."""
    found, depth = [""], 0
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [each.strip() for each in found]


def _target(node: ast.stmt) -> str | None:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def _string(node: ast.stmt | None) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return node.value.value if isinstance(node.value.value, str) else None
    return None


def _required(text: str | None, name: str) -> str:
    if not text:
        raise LookupError(f"{name} has no docstring")
    return text
