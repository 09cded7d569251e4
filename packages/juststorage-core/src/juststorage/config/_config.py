"""Config: what the service is told, read once, checked, frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from juststorage.config._overlay import Tree, from_environment, from_file, merged, variable
from juststorage.config._sections import TABLES, PluginsSection, Section, TopLevel
from juststorage.errors import Misconfigured
from juststorage.plugins._binding import bind, field_types, struct_in

__all__ = ["Config"]

FILE_VARIABLE = "JUSTSTORAGE_CONFIG"

_EMBEDDED: Tree = {
    "metadata": {"backend": "sqlite"},
    "blobs": {"hot": {"backend": "localfs"}, "cold": {"backend": "localfs"}},
}
_SELECTING = ("metadata", "blobs")


class Config(TopLevel, frozen=True, kw_only=True):
    """The configuration. Safe to print: option tables of plugins are never shown.

    Later sources win: defaults, the file, the environment, what the program passes. Make one with
    `load` (file and environment) or `from_mapping` (a program or test that says everything).

    Args:
        embedded_default: Nothing was configured, so the embedded backends were taken. A server says
            so in its first line.
        file: The file that was read, if any.
    """

    embedded_default: bool = False
    file: Path | None = None

    @classmethod
    def load(
        cls,
        file: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Self:
        """Read file and environment.

        Args:
            file: TOML; None means the one that `JUSTSTORAGE_CONFIG` names, or none.
            environment: Variables; None means those of the process.
            overrides: A tree that wins over both.

        Raises:
            Misconfigured: A setting is wrong, unknown or missing. One sentence that names it.
        """
        environment = os.environ if environment is None else environment
        file = file or _default_file(environment)
        tree, selecting = _read(file, environment)
        overrides = overrides or {}
        selecting = selecting or any(name in overrides for name in _SELECTING)
        return cls._from_tree(merged(tree, overrides), file=file, embedded=not selecting)

    @staticmethod
    def load_gate(
        file: Path | None = None, *, environment: Mapping[str, str] | None = None
    ) -> PluginsSection:
        """Only the section `[plugins]`, as `load` would read it: what the host must know first.

        Raises:
            Misconfigured: It is wrong, or cannot be read. Other sections are not looked at.
        """
        tree, _ = _read(file, os.environ if environment is None else environment)
        plugins = tree.get("plugins", {})
        if not isinstance(plugins, Mapping):
            raise Misconfigured(f"plugins: Expected table, got {type(plugins).__name__}")
        return bind(PluginsSection, plugins, place="plugins")

    @classmethod
    def from_mapping(cls, tree: Mapping[str, Any]) -> Self:
        """A configuration that a program states, environment and files aside.

        Raises:
            Misconfigured: As `load`. The backends must be named: this is never the embedded
                default.
        """
        return cls._from_tree(dict(tree), file=None, embedded=False)

    def sections(self) -> dict[str, Section]:
        """The sections that select plugins, by their place."""
        return {
            "metadata": self.metadata,
            "blobs.hot": self.blobs.hot,
            "blobs.cold": self.blobs.cold,
            "hasher": self.hasher,
            "gc": self.gc,
            "auth": self.auth,
        }

    @classmethod
    def _from_tree(cls, tree: Tree, *, file: Path | None, embedded: bool) -> Self:
        if embedded:
            tree = merged(tree, _EMBEDDED)
        top = bind(TopLevel, _with_tables(tree, TopLevel), place="")
        known = {name: getattr(top, name) for name in TopLevel.__struct_fields__}
        config = cls(**known, embedded_default=embedded, file=file)
        _require(config.metadata.backend, "metadata.backend", "a metadata store", "sqlite")
        _require(config.blobs.hot.backend, "blobs.hot.backend", "a blob store", "localfs")
        return config


def _default_file(environment: Mapping[str, str]) -> Path | None:
    named = environment.get(FILE_VARIABLE)
    return Path(named) if named else None


def _read(file: Path | None, environment: Mapping[str, str]) -> tuple[Tree, bool]:
    """The merged tree, and whether it has been told which backends to use."""
    file = file or _default_file(environment)
    tree = from_file(file) if file is not None else {}
    variables = from_environment(environment)
    selecting = file is not None or any(name in variables for name in _SELECTING)
    return merged(tree, variables), selecting


def _require(value: str | None, setting: str, what: str, example: str) -> None:
    if not value:
        raise Misconfigured(
            f"{setting} is not set: name {what}, such as {example!r},"
            f" there or in {variable(setting)}"
        )


def _with_tables(tree: Mapping[str, Any], struct: type[msgspec.Struct]) -> Tree:
    """Move the sub-tables of every section that selects plugins to where the struct has them."""
    result = dict(tree)
    if issubclass(struct, Section):
        tables = {name: value for name, value in tree.items() if isinstance(value, Mapping)}
        own = {name: value for name, value in tree.items() if name not in tables}
        if TABLES in own:
            raise Misconfigured(f"{TABLES!r} is no name of an option")
        return {**own, TABLES: tables}
    for name, kind in field_types(struct).items():
        inner = struct_in(kind)
        if inner is not None and isinstance(tree.get(name), Mapping):
            result[name] = _with_tables(tree[name], inner)
    return result
