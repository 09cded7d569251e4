"""Plugins that are really installed: distributions in a directory of the test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from juststorage.runtime import PluginHost, PluginRecord

FITTING = ("juststorage-core>=0.1,<1",)

HEADER = """
import msgspec
from contextlib import asynccontextmanager
from juststorage.plugins import *

class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    size: int = 1

@asynccontextmanager
async def nothing(options, context):
    yield None

"""

HASHER = HEADER + (
    "@hookimpl\n"
    "def juststorage_hashers():\n"
    "    yield HasherBackend(name={name!r}, summary='one', options=Options, open=nothing)\n"
)


class Site:
    """A directory like `site-packages`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.modules: set[str] = set()

    def add(
        self,
        distribution: str,
        plugins: Mapping[str, str],
        *,
        version: str = "1.0",
        requires: Sequence[str] = FITTING,
    ) -> None:
        """Install a distribution; `plugins` has the source of a module for each plugin name."""
        stem = distribution.replace("-", "_")
        info = self.directory / f"{stem}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        lines += [f"Requires-Dist: {each}" for each in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        entries = ["[juststorage.plugins]"]
        for name, source in plugins.items():
            module = f"{stem}_{name}_module"
            self.modules.add(module)
            (self.directory / f"{module}.py").write_text(dedent(source))
            entries.append(f"{name} = {module}")
        (info / "entry_points.txt").write_text("\n".join(entries) + "\n")

    def add_hasher(self, distribution: str, plugin: str, name: str, **how: Any) -> None:
        """Install a plugin that offers one hasher."""
        self.add(distribution, {plugin: HASHER.format(name=name)}, **how)

    def host(self, **how: Any) -> PluginHost:
        """A loaded host that sees this directory only."""
        how.setdefault("core_version", "0.1.0")
        how.setdefault("strict", False)
        return PluginHost(search_path=[str(self.directory)], **how).load()

    def record(self, name: str, **how: Any) -> PluginRecord:
        """What such a host says about one plugin."""
        (record,) = [each for each in self.host(**how).records if each.name == name]
        return record

    @property
    def imported(self) -> set[str]:
        """The modules of these plugins that have been imported."""
        return self.modules & set(sys.modules)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty directory for distributions, on the path; its modules are forgotten afterwards."""
    directory = tmp_path / "site"
    directory.mkdir()
    sys.path.insert(0, str(directory))
    importlib.invalidate_caches()
    made = Site(directory)
    yield made
    sys.path.remove(str(directory))
    for module in made.imported:
        del sys.modules[module]


@pytest.fixture
def as_plugin() -> Callable[..., object]:
    """Makes an object whose methods are hook implementations that yield what is given."""
    from juststorage.plugins import hookimpl

    def make(**hooks: Sequence[object]) -> object:
        plugin = type("GivenPlugin", (), {})()
        for hook, items in hooks.items():
            setattr(plugin, hook, hookimpl(lambda items=items: items))
        return plugin

    return make
