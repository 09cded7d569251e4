"""The options that every command with a configuration takes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from juststorage.config import Config
from juststorage.errors import Misconfigured

__all__ = ["ConfigSource", "config_options"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where a command's configuration comes from, as its options say.

    Args:
        file: What `--config` named; None leaves it to `JUSTSTORAGE_CONFIG`.
        data_dir: What `--data-dir` named.
    """

    file: Path | None = None
    data_dir: Path | None = None

    def over(self, other: ConfigSource) -> ConfigSource:
        """This one, with the other's answers where it has none: a subcommand's over its group's."""
        return ConfigSource(self.file or other.file, self.data_dir or other.data_dir)

    def load(self, overrides: Mapping[str, Any] | None = None) -> Config:
        """Load it.

        Args:
            overrides: Settings from the command's other options, in the shape of the file. They
                win over everything.

        Raises:
            Misconfigured: As `Config.load`; and where it does, also for options of plugins, which
                otherwise are looked at when they open: all mistakes are told at once.
        """
        tree = dict(overrides or {})
        if self.data_dir is not None:
            tree["data_dir"] = str(self.data_dir)
        config, problems = Config.examine(self.file, overrides=tree)
        if not problems:
            return config
        raise Misconfigured(*problems, *_problems_of_plugins(config, problems))


def _problems_of_plugins(config: Config, problems: Sequence[str]) -> list[str]:
    # Which plugins may be imported is part of what is wrong, then.
    if any("plugins" in problem.lower() for problem in problems):
        return []
    from juststorage.runtime._open import make_host
    from juststorage.runtime._plan import selection_problems

    return selection_problems(config, make_host(config))


def config_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--config` and `--data-dir`; the command gets a `ConfigSource` named `source`.

    Below click's own decorator:

        @click.command()
        @config_options
        def serve(source: ConfigSource) -> None:
            config = source.load()
    """

    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="TOML file to read; else the one that JUSTSTORAGE_CONFIG names, if any.",
    )
    @click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The service's own directory, whatever the configuration says.",
    )
    @functools.wraps(command)
    def with_source(
        *args: Any, config_file: Path | None, data_dir: Path | None, **kwargs: Any
    ) -> R:
        return command(*args, source=ConfigSource(config_file, data_dir), **kwargs)

    return with_source
