"""What the kit tells at the end: the rule that a failed test stands for, and a summary to publish.

juststorage conformance, juststorage-core 0.1.0
blob_store:tape  BlobStoreContract: 113 of 113 required; capabilities: fixed_names, space
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterable
from typing import Any

import msgspec
import pytest

from juststorage import __version__
from juststorage.testing.contracts import Contract, PluginContract

__all__ = ["pytest_runtest_makereport", "pytest_terminal_summary"]

_PROPERTY = "juststorage"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark the reports of contracts; with a failure, say which rule was broken."""
    report = yield
    owner = getattr(item, "cls", None)
    if isinstance(owner, type) and issubclass(owner, Contract | PluginContract):
        name = getattr(item, "originalname", item.name)
        contract = _contract(owner)
        if contract is None or not hasattr(contract, name):
            return report  # the author's own test
        # A property and not an attribute: those travel from the workers of pytest-xdist.
        report.user_properties.append((_PROPERTY, _subject(owner, contract)))
        if report.failed:
            rule = inspect.getdoc(getattr(contract, name)) or name
            report.sections.append(("the rule", f"{contract.__name__}.{name}: {rule}"))
    return report


def _contract(owner: type) -> type | None:
    """The contract of the kit that a test class keeps."""
    ours = [each for each in owner.__mro__ if each.__module__.startswith("juststorage.testing.")]
    return ours[0] if ours and ours[0] is not owner else None


def _subject(owner: type, contract: type) -> list[str]:
    """What is tested, by which contract, and what it declares: texts only, for the way home."""
    if issubclass(owner, PluginContract):
        return [f"plugin {owner.plugin}", contract.__name__, ""]
    assert issubclass(owner, Contract)
    backend = owner.backend
    capabilities = getattr(backend, "capabilities", None)
    declared = "" if capabilities is None else _declared(msgspec.to_builtins(capabilities))
    label = f"{backend.kind}:{backend.name}, {owner.__name__}"
    return [label, contract.__name__, declared]


def _declared(capabilities: dict[str, bool]) -> str:
    names = ", ".join(name for name, declared in capabilities.items() if declared)
    return f"; capabilities: {names or 'none'}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for each contract that was run, to be published with a release."""
    stats: dict[str, list[Any]] = terminalreporter.stats
    lines = list(_lines(stats))
    if not lines:
        return
    terminalreporter.section(f"juststorage conformance, juststorage-core {__version__}")
    for line in lines:
        terminalreporter.line(line)
    if stats.get("deselected"):
        terminalreporter.line("Not all of it: some tests were deselected.")


def _lines(stats: dict[str, list[Any]]) -> Iterable[str]:
    counts: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed"):
        for report in stats.get(outcome, []):
            for name, subject in getattr(report, "user_properties", ()):
                if name == _PROPERTY:
                    outcomes = counts.setdefault(tuple(subject), {})
                    outcomes.setdefault(outcome, set()).add(report.nodeid)
    for (label, contract, declared), outcomes in sorted(counts.items()):
        wrong = outcomes.get("failed", set()) | outcomes.get("error", set())
        passed = outcomes.get("passed", set()) - wrong
        known = outcomes.get("xfailed", set())
        line = f"{label}  {contract}: {len(passed)} of {len(passed | wrong | known)} required"
        yield line + (f", {len(known)} known failures" if known else "") + declared
