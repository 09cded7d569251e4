"""Discovery and the gate: which plugins exist, and which may be imported. Imports none of them.

Whether a plugin fits is read from its own dependency range on juststorage-core. pip enforces that
range when it installs; images built with `--no-deps` and editable installs get past pip, hence the
second look here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions

from juststorage.plugins._hints import near_miss
from juststorage.plugins._records import PluginRecord, PluginStatus

__all__ = ["CORE", "GROUP", "Candidate", "discover", "gate", "ranges_on_core"]

GROUP = "juststorage.plugins"
"""The entry point group that plugins announce themselves in."""

CORE = "juststorage-core"
"""The distribution whose version plugins depend on."""

_BOUND = r"\s*[<>]=?\s*\d+(?:\.\d+)*\s*"
_PLAIN_RANGE = re.compile(rf"{_BOUND}(?:,{_BOUND})*")
_PLAIN_REQUIREMENT = re.compile(
    rf"juststorage[-_.]core\s*(?:\[[^\]]*\])?\s*(?P<range>{_PLAIN_RANGE.pattern})", re.IGNORECASE
)
_FOR_AN_EXTRA = re.compile(r"[^;]*;\s*extra\s*==\s*(['\"])[^'\"]*\1\s*")
_PLAIN_VERSION = re.compile(r"\d+(?:\.\d+)*")


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
        # Parsed anew each time that it is asked for, and it is most of what discovery costs.
        metadata = distribution.metadata
        name = metadata["Name"]
        # The same distribution may lie in two directories of the path; Python imports the first.
        if _canonical(name) in seen:
            continue
        seen.add(_canonical(name))
        requires = metadata.get_all("Requires-Dist") or distribution.requires or ()
        for point in entry_points:
            record = PluginRecord(
                name=point.name, distribution=name, version=metadata["Version"], target=point.value
            )
            candidates.append(Candidate(record, point, tuple(requires)))
    return sorted(candidates, key=lambda it: (it.record.name, it.record.distribution or ""))


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


def ranges_on_core(requires: Sequence[str]) -> list[str]:
    """The ranges of core's versions that requirements name; those of extras do not count."""
    return [found for text in requires if (found := _range_on_core(text)) is not None]


def _incompatibility(requires: Sequence[str], core_version: str) -> str | None:
    ranges = ranges_on_core(requires)
    if not ranges:
        return f"declares no range of {CORE} versions"
    for text in ranges:
        fits = plainly_within(core_version, text)
        if not (_within(core_version, text) if fits is None else fits):
            return f"needs {CORE}{text}, found {core_version}"
    return None


def _range_on_core(requirement: str) -> str | None:
    if not _canonical(requirement).startswith(CORE):
        return None
    if plain := _PLAIN_REQUIREMENT.fullmatch(requirement):
        return plain["range"]
    if _FOR_AN_EXTRA.fullmatch(requirement):
        return None  # what tests or another optional part need says nothing about the plugin
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return None  # its installer would have refused it
    if _canonical(parsed.name) != CORE:
        return None
    if parsed.marker is not None and not parsed.marker.evaluate({"extra": ""}):
        return None
    return str(parsed.specifier) or None


def _within(version: str, versions: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    # 1.4.0.dev3 satisfies >=1.4: a development version stands for the release that it leads to.
    return SpecifierSet(versions).contains(Version(version).base_version, prereleases=True)


def plainly_within(version: str, versions: str) -> bool | None:
    """What `packaging` would answer, for plain numbers and bounds; None for all else.

    Nearly every range is plain, and importing `packaging` costs a fifth of a command's whole start.
    """
    if not _PLAIN_VERSION.fullmatch(version) or not _PLAIN_RANGE.fullmatch(versions):
        return None
    found = _numbers(version)
    for bound in versions.split(","):
        sign = bound.strip().rstrip("0123456789. ")
        number = _numbers(bound.strip().removeprefix(sign))
        if not {
            ">=": found >= number,
            ">": found > number,
            "<=": found <= number,
            "<": found < number,
        }[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.strip().split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()  # 1.0 and 1 are the same version
    return tuple(numbers)


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
