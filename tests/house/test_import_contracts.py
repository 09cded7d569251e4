"""The contract type that says what a package may import of core."""

from __future__ import annotations

import pytest
from grimp import ImportGraph

from scripts.import_contracts import AllowedImportsContract


def is_kept(importer: str, imported: str) -> bool:
    """Judge one import by a contract that allows plugin packages `core.ports` alone."""
    graph = ImportGraph()
    graph.add_module(importer)
    graph.add_module(imported)
    graph.add_import(importer=importer, imported=imported, line_number=1, line_contents="import")
    options = {"importers": ["plugin"], "package": "core", "allowed": ["core.ports"]}
    contract = AllowedImportsContract("name", session_options={}, contract_options=options)
    return contract.check(graph, verbose=False).kept


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("plugin.store", "core.ports"),
        ("plugin.store", "core.ports.blobs"),
        ("plugin.store", "plugin._files"),
        ("plugin.store", "driver._private"),
        ("core.runtime", "core.config"),
    ],
)
def test_it_allows(importer: str, imported: str) -> None:
    """What is listed, what is one's own, and what the contract is not about."""
    assert is_kept(importer, imported)


@pytest.mark.parametrize(
    "imported", ["core", "core.config", "core.ports_of_call", "core.ports._impl", "core.ports.a._b"]
)
def test_it_forbids(imported: str) -> None:
    """Whatever nobody listed, a name that only starts alike, and all that is private."""
    assert not is_kept("plugin.store", imported)
