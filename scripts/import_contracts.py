"""A contract type for import-linter: what a part of the house may import from another.

The built-in contracts name what is forbidden. Here a rule names what is allowed, so that a module
added tomorrow is out of bounds until someone says otherwise.
"""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedImportsContract(Contract):
    """The `importers` may import the `allowed` modules of `package`, but nothing private."""

    # import-linter replaces each field by its value when it makes the contract.
    importers: list[str] = fields.ListField(subfield=fields.StringField())  # type: ignore[assignment]
    package: str = fields.StringField()  # type: ignore[assignment]
    allowed: list[str] = fields.ListField(subfield=fields.StringField())  # type: ignore[assignment]

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at direct imports: what an allowed module imports in turn is its business."""
        broken = [
            (importer, imported, graph.get_import_details(importer=importer, imported=imported))
            for importer in sorted(graph.modules)
            if _is_within_any(importer, self.importers)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if _is_within_any(imported, [self.package])
            and not _is_within_any(imported, self.importers)
            and not self._allows(imported)
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each forbidden import with its line."""
        for importer, imported, details in check.metadata["broken"]:
            lines: list[dict[str, Any]] = details
            numbers = ", ".join(str(line["line_number"]) for line in lines)
            output.print_error(f"{importer} imports {imported} (line {numbers})", bold=False)
        output.print_error(f"Allowed: {', '.join(self.allowed)}", bold=False)

    def _allows(self, module: str) -> bool:
        for allowed in self.allowed:
            if _is_within_any(module, [allowed]):
                return "._" not in module.removeprefix(allowed)
        return False


def _is_within_any(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
