"""Discovery and the gate: which plugins exist, and which may be imported. Imports none of them.

Whether a plugin fits is read from its own dependency range on juststorage-core. pip enforces that
range when it installs; images built with `--no-deps` and editable installs get past pip, hence the
second look here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions

from juststorage.plugins._hints import near_miss
from juststorage.plugins._records import PluginRecord, PluginStatus

__all__ = ["CORE", "GROUP", "Candidate", "discover", "gate"]

GROUP = "juststorage.plugins"
"""The entry point group that plugins announce themselves in."""

CORE = "juststorage-core"
"""The distribution whose version plugins depend on."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin as the metadata of its distribution describes it."""

    record: PluginRecord
    entry_point: EntryPoint
    requires: tuple[str, ...]


def discover(search_path: Sequence[str] | None) -> list[Candidate]:
    """Every plugin that an installed distribution announces, sorted by name.

    Args:
        search_path: Directories to look for distributions in; None means `sys.path`.
    """
    found = distributions() if search_path is None else distributions(path=list(search_path))
    candidates: list[Candidate] = []
    seen: set[str] = set()
    for distribution in found:
        entry_points = [point for point in distribution.entry_points if point.group == GROUP]
        if not entry_points:
            continue
        name = distribution.metadata["Name"]
        # The same distribution may lie in two directories of the path; Python imports the first.
        if _canonical(name) in seen:
            continue
        seen.add(_canonical(name))
        candidates += _candidates(distribution, name, entry_points)
    return sorted(candidates, key=lambda it: (it.record.name, it.record.distribution or ""))


def _candidates(
    distribution: Distribution, name: str, entry_points: list[EntryPoint]
) -> Iterator[Candidate]:
    requires = tuple(distribution.requires or ())
    for point in entry_points:
        record = PluginRecord(
            name=point.name, distribution=name, version=distribution.version, target=point.value
        )
        yield Candidate(record, point, requires)


def gate(
    candidates: Sequence[Candidate],
    *,
    enabled: Collection[str] | None,
    disabled: Collection[str],
    core_version: str,
) -> list[str]:
    """Decide, for each candidate, whether it may be imported; the others' records say why not.

    Core's own plugins need no mention in `enabled`: an allow list is about what others bring.

    Returns:
        Warnings: names in the two lists that no plugin has.
    """
    for candidate in candidates:
        record = candidate.record
        if record.name in disabled:
            record.end(PluginStatus.DISABLED, "in plugins.disabled")
        elif enabled is not None and record.name not in enabled and not _is_core(record):
            record.end(PluginStatus.DISABLED, "not in plugins.enabled")
    _refuse_doubles(candidates)
    for candidate in candidates:
        if candidate.record.status is PluginStatus.FOUND and not _is_core(candidate.record):
            reason = _incompatibility(candidate.requires, core_version)
            if reason is not None:
                candidate.record.end(PluginStatus.INCOMPATIBLE, reason)
    names = {candidate.record.name for candidate in candidates}
    return [
        f"plugins.{setting}: no plugin named {name!r} is installed{near_miss(name, names)}"
        for setting, listed in (("enabled", enabled or ()), ("disabled", disabled))
        for name in sorted(set(listed) - names)
    ]


def _refuse_doubles(candidates: Sequence[Candidate]) -> None:
    by_name: dict[str, list[PluginRecord]] = {}
    for candidate in candidates:
        if candidate.record.status is PluginStatus.FOUND:
            by_name.setdefault(candidate.record.name, []).append(candidate.record)
    for name, records in by_name.items():
        if len(records) > 1:
            origins = " and ".join(record.origin for record in records)
            for record in records:
                record.end(
                    PluginStatus.CONFLICT,
                    f"the plugin name {name!r} is claimed by {origins}; uninstall one of them",
                )


def _is_core(record: PluginRecord) -> bool:
    return record.distribution is not None and _canonical(record.distribution) == CORE


def _incompatibility(requires: Sequence[str], core_version: str) -> str | None:
    # Imported here: a third of a command's start, and core's own plugins do not need it.
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import Version

    # 1.4.0.dev3 satisfies >=1.4: a development version stands for the release that it leads to.
    found = Version(core_version).base_version
    depends = False
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # about something else, or its installer would have refused it
        if _canonical(requirement.name) != CORE:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier:
            continue
        depends = True
        if not requirement.specifier.contains(found, prereleases=True):
            return f"needs {CORE}{requirement.specifier}, found {core_version}"
    return None if depends else f"declares no range of {CORE} versions"


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
