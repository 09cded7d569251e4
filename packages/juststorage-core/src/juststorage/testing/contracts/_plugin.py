"""PluginContract: what every plugin must do, whatever it offers."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, ClassVar

import anyio
import msgspec
import pluggy
import pytest
from anyio.lowlevel import checkpoint

from juststorage.errors import Misconfigured
from juststorage.plugins import Backend, Command, Secret, _hookspecs
from juststorage.plugins._binding import bind, field_types, parts_of, schema_hook
from juststorage.plugins._collect import ask
from juststorage.plugins._gate import CORE, GROUP, ranges_on_core
from juststorage.plugins._markers import PROJECT
from juststorage.plugins.memory import MEMORY_METADATA
from juststorage.testing._leaks import no_leaks
from juststorage.testing._opening import open_backend

__all__ = ["PluginContract"]


class PluginContract:
    """The contract of a plugin as a whole; give its name in the entry point group."""

    plugin: ClassVar[str]
    """Its name in the entry point group `juststorage.plugins`."""

    heavy: ClassVar[frozenset[str]] = frozenset(
        {
            "alembic",
            "asyncpg",
            "granian",
            "litestar",
            "sqlalchemy",
            "psycopg",
            "hypothesis",
            "pytest",
        }
    )
    """Modules that importing the plugin must not import: every command pays for them."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def tables(self) -> Mapping[str, Mapping[str, Any]]:
        """Configuration tables to open each backend with, by `kind:name`; `{}` for the others."""
        return {}

    # -- what it is ---------------------------------------------------------------------------

    def entry_point(self) -> EntryPoint:
        """The one entry point of that name."""
        found = list(entry_points(group=GROUP, name=self.plugin))
        assert len(found) == 1, f"{len(found)} entry points are named {self.plugin!r}"
        return found[0]

    def described(self) -> list[Backend[Any, Any] | Command]:
        """What its hooks yield, as the host asks for it."""
        module: object = self.entry_point().load()
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(_hookspecs)
        manager.register(module, self.plugin)
        return list(ask(manager, module))

    def backends(self) -> Iterator[Backend[Any, Any]]:
        """The backends among that."""
        for item in self.described():
            if not isinstance(item, Command):
                yield item

    def test_it_is_found_and_offers_something(self) -> None:
        """The entry point resolves to a module whose hooks are known and answer."""
        assert isinstance(self.entry_point().load(), ModuleType)
        assert self.described()
        assert self.described() == self.described()

    def test_it_says_which_core_it_needs(self) -> None:
        """Its distribution requires a range of core, which the host reads before importing it."""
        owner = self.entry_point().dist
        assert owner is not None
        if owner.name == CORE:
            return
        ranges = ranges_on_core(owner.requires or [])
        assert ranges, f"{owner.name} requires no range of {CORE}: add {CORE}>=...,<..."
        assert all("<" in each for each in ranges), f"{owner.name} sets no upper bound: {ranges}"

    def test_importing_it_is_light(self) -> None:
        """Listing plugins imports this module, so it imports nothing heavy."""
        module = self.entry_point().module
        code = f"import sys, {module}; print(*sys.modules)"
        done = subprocess.run(  # noqa: S603  a module name from installed metadata
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert not self.heavy & set(done.stdout.split())

    def test_commands_lead_somewhere(self) -> None:
        """Each command's target is there."""
        for item in self.described():
            if isinstance(item, Command):
                module, _, attribute = item.target.partition(":")
                assert hasattr(importlib.import_module(module), attribute)

    # -- its options --------------------------------------------------------------------------

    def test_options_reject_what_they_do_not_know(self) -> None:
        """A typo in a configuration file is heard, and told where it is."""
        for backend in self.backends():
            with pytest.raises(Misconfigured, match="no_such_option"):
                bind(backend.options, {"no_such_option": 1}, place=backend.name)

    def test_options_are_documented(self) -> None:
        """Their JSON Schema renders, and each has a description."""
        for backend in self.backends():
            schema = msgspec.json.schema(backend.options, schema_hook=schema_hook)
            definitions = schema.get("$defs", {})
            own = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            for name, option in own.get("properties", {}).items():
                assert option.get("description"), f"{backend.name}.{name} has no description"

    def test_secrets_are_not_shown(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Whatever is a `Secret` stays out of the options' repr."""
        for backend in self.backends():
            secrets = {
                name: f"hunter2-{name}"
                for name, kind in field_types(backend.options).items()
                if Secret in parts_of(kind)
            }
            table = {**tables.get(f"{backend.kind}:{backend.name}", {}), **secrets}
            if secrets:
                shown = repr(bind(backend.options, table, place=backend.name))
                assert "hunter2" not in shown

    # -- its life -----------------------------------------------------------------------------

    async def test_it_opens_again(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Each backend opens and closes twice in one process, and leaves nothing behind."""
        for backend in self.backends():
            options = self._options(backend, tables)
            for _ in range(2):
                with no_leaks():
                    async with _opened(backend, options) as service:
                        assert service is not None

    @pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21])
    async def test_a_cancelled_open_leaves_nothing(
        self, tables: Mapping[str, Mapping[str, Any]], turns: int
    ) -> None:
        """Cancelled while it opens, a backend closes what it had opened so far."""
        for backend in self.backends():
            options = self._options(backend, tables)

            async def hold(
                opening: Backend[Any, Any] = backend, using: msgspec.Struct = options
            ) -> None:
                async with _opened(opening, using):
                    await anyio.sleep_forever()

            with no_leaks():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(hold)
                    for _ in range(turns):
                        await checkpoint()
                    tasks.cancel_scope.cancel()

    def _options(
        self, backend: Backend[Any, Any], tables: Mapping[str, Mapping[str, Any]]
    ) -> msgspec.Struct:
        table = tables.get(f"{backend.kind}:{backend.name}", {})
        made: msgspec.Struct = bind(backend.options, table, place=backend.name)
        return made


@asynccontextmanager
async def _opened(backend: Backend[Any, Any], options: msgspec.Struct) -> AsyncIterator[Any]:
    """Open it; an authenticator gets a metadata store, as it does from the service."""
    async with AsyncExitStack() as stack:
        metadata = None
        if backend.kind == "authenticator":
            metadata = await stack.enter_async_context(open_backend(MEMORY_METADATA))
        yield await stack.enter_async_context(open_backend(backend, options, metadata=metadata))
