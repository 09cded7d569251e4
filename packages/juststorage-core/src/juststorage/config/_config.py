"""Config: what the service is told, read once, checked, frozen."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from juststorage.config._overlay import (
    PREFIX,
    Tree,
    from_environment,
    from_file,
    merged,
    variable,
)
from juststorage.config._sections import TABLES, PluginsSection, Section, TopLevel
from juststorage.config._serving import Log
from juststorage.errors import Misconfigured
from juststorage.plugins._binding import bind, field_types, sifted, struct_in

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
        data_dir_option: The directory that the program named over file and environment, if any.
    """

    embedded_default: bool = False
    file: Path | None = None
    data_dir_option: Path | None = None

    def command(self, words: str) -> str:
        """A command line on this very configuration, for people to run.

        It names the file, also where a variable did: a variable need not be set where it is run.

        Args:
            words: Of the command, such as `juststorage migrate up`.
        """
        options: list[str] = []
        if self.file is not None:
            options += ["--config", str(self.file)]
        if self.data_dir_option is not None:
            options += ["--data-dir", str(self.data_dir_option)]
        return " ".join([words, *map(shlex.quote, options)])

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
            Misconfigured: Settings are wrong, unknown or missing. One sentence names each.
        """
        config, problems = cls.examine(file, environment=environment, overrides=overrides)
        if problems:
            raise Misconfigured(*problems)
        return config

    @classmethod
    def examine(
        cls,
        file: Path | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> tuple[Self, list[str]]:
        """As `load`, but whatever is wrong is left out of the configuration, and returned.

        For whoever has more to check, and wants to tell all mistakes at once.

        Returns:
            The configuration; and what is wrong, a sentence each. It may lack its backends then.

        Raises:
            Misconfigured: The file cannot be read.
        """
        environment = os.environ if environment is None else environment
        file = file or _default_file(environment)
        tree, selecting, problems = _read(file, environment)
        overrides = overrides or {}
        selecting = selecting or any(name in overrides for name in _SELECTING)
        config, others = cls._examined(merged(tree, overrides), file=file, embedded=not selecting)
        if "data_dir" in overrides:
            named = Path(str(overrides["data_dir"]))
            config = msgspec.structs.replace(config, data_dir_option=named)
        return config, problems + others

    @staticmethod
    def load_gate(
        file: Path | None = None, *, environment: Mapping[str, str] | None = None
    ) -> PluginsSection:
        """Only the section `[plugins]`, as `load` would read it: what the host must know first.

        Raises:
            Misconfigured: It is wrong, or cannot be read. Other sections are not looked at.
        """
        tree, _, problems = _read(file, os.environ if environment is None else environment)
        if own := [problem for problem in problems if f"{PREFIX}PLUGINS" in problem.upper()]:
            raise Misconfigured(*own)
        plugins = tree.get("plugins", {})
        if not isinstance(plugins, Mapping):
            raise Misconfigured(f"plugins: Expected table, got {type(plugins).__name__}")
        return bind(PluginsSection, plugins, place="plugins")

    @staticmethod
    def load_log(file: Path | None = None, *, environment: Mapping[str, str] | None = None) -> Log:
        """Only the section `[log]`, as far as it is right: in what form to say what is wrong.

        A file that cannot be read leaves the environment to decide.
        """
        environment = os.environ if environment is None else environment
        try:
            tree, _, _ = _read(file, environment)
        except Misconfigured:
            tree, _ = from_environment(environment)
        log = tree.get("log")
        right, _ = sifted(Log, log if isinstance(log, Mapping) else {}, place="log")
        return bind(Log, right, place="log")

    @classmethod
    def from_mapping(cls, tree: Mapping[str, Any]) -> Self:
        """A configuration that a program states, environment and files aside.

        Raises:
            Misconfigured: As `load`. The backends must be named: this is never the embedded
                default.
        """
        config, problems = cls._examined(dict(tree), file=None, embedded=False)
        if problems:
            raise Misconfigured(*problems)
        return config

    def sections(self) -> dict[str, Section]:
        """The sections that select plugins, by their place."""
        return {
            "metadata": self.metadata,
            "blobs.hot": self.blobs.hot,
            "blobs.cold": self.blobs.cold,
            "backup.contents": self.backup.contents,
            "backup.manifests": self.backup.manifests,
            "hasher": self.hasher,
            "gc": self.gc,
            "auth": self.auth,
        }

    @classmethod
    def _examined(cls, tree: Tree, *, file: Path | None, embedded: bool) -> tuple[Self, list[str]]:
        if embedded:
            tree = merged(tree, _EMBEDDED)
        right, problems = sifted(TopLevel, _with_tables(tree, TopLevel), place="")
        top = bind(TopLevel, right, place="")
        known = {name: getattr(top, name) for name in TopLevel.__struct_fields__}
        config = cls(**known, embedded_default=embedded, file=file)
        for value, setting, what, example in (
            (config.metadata.backend, "metadata.backend", "a metadata store", "sqlite"),
            (config.blobs.hot.backend, "blobs.hot.backend", "a blob store", "localfs"),
        ):
            # In a section where something else is wrong, that may be why.
            section = setting.removesuffix(".backend")
            if not value and not any(_is_about(problem, section) for problem in problems):
                problems.append(
                    f"{setting} is not set: name {what}, such as {example!r},"
                    f" there or in {variable(setting)}"
                )
        return config, problems


def _default_file(environment: Mapping[str, str]) -> Path | None:
    named = environment.get(FILE_VARIABLE)
    return Path(named) if named else None


def _read(file: Path | None, environment: Mapping[str, str]) -> tuple[Tree, bool, list[str]]:
    """The merged tree, whether it has been told which backends to use, and wrong variables."""
    file = file or _default_file(environment)
    tree = from_file(file) if file is not None else {}
    variables, problems = from_environment(environment)
    selecting = file is not None or any(name in variables for name in _SELECTING)
    return merged(tree, variables), selecting, problems


def _is_about(problem: str, section: str) -> bool:
    """Whether a problem is about this section, or what is in it."""
    place = problem.partition(": ")[0]
    return section.startswith(place) or place.startswith(section)


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
