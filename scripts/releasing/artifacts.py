"""What is uploaded: a wheel and a source distribution, each built twice, and their metadata."""

from __future__ import annotations

import email.parser
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from build import ProjectBuilder
from packaging.metadata import InvalidMetadata, Metadata
from packaging.version import Version
from pyproject_hooks import quiet_subprocess_runner

from .archives import unpack
from .projects import Project

__all__ = ["NotTheSame", "build", "build_one", "metadata", "wrong_metadata"]

Distribution = Literal["sdist", "wheel"]


class NotTheSame(Exception):
    """Two builds of one thing differ: what others build is not what was tested."""


def build(project: Project, folder: Path, *, time_s: int) -> list[Path]:
    """Wheel and source distribution of a package, in `folder`.

    Each is built a second time, the wheel from the unpacked source distribution, and compared.

    Args:
        project: The package.
        folder: Of the two files.
        time_s: What the files in them are dated, in seconds since 1970.

    Raises:
        NotTheSame: A second build had other bytes.
    """
    wheel = build_one(project.folder, "wheel", folder, time_s)
    source = build_one(project.folder, "sdist", folder, time_s)
    with tempfile.TemporaryDirectory() as scratch:
        again = build_one(project.folder, "sdist", Path(scratch) / "again", time_s)
        (unpacked,) = unpack(source, Path(scratch) / "unpacked").iterdir()
        from_source = build_one(unpacked, "wheel", Path(scratch) / "again", time_s)
        for first, second in ((source, again), (wheel, from_source)):
            if first.name != second.name or first.read_bytes() != second.read_bytes():
                raise NotTheSame(f"{first.name}: a second build of it has other bytes")
    return [wheel, source]


def metadata(artifact: Path) -> bytes:
    """What an installer reads of it."""
    if artifact.suffix == ".whl":
        with zipfile.ZipFile(artifact) as wheel:
            (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            return wheel.read(name)
    with tarfile.open(artifact) as archive:
        member = archive.extractfile(f"{artifact.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert member is not None
        return member.read()


def wrong_metadata(artifact: Path, versions: Mapping[str, Version]) -> list[str]:
    """What an index would refuse, and ranges that leave out the sibling beside it.

    Args:
        artifact: A wheel or a source distribution.
        versions: Of every package of this repository.
    """
    raw = metadata(artifact)
    invalid: list[str] = []
    try:
        found = Metadata.from_email(raw, validate=True)
    except* InvalidMetadata as group:
        invalid = [f"{artifact.name}: {each}" for each in group.exceptions]
    if invalid:
        return invalid
    wrong = []
    if found.version != versions[found.name]:
        wrong.append(f"version {found.version}, and the manifest has {versions[found.name]}")
    if not (found.license_expression and found.license_files and found.requires_python):
        wrong.append("no licence, or no version of Python")
    if found.description_content_type != "text/markdown" or not _text(raw).strip():
        wrong.append("no readme in Markdown")
    for need in found.requires_dist or []:
        if need.name in versions and not {each.operator for each in need.specifier} >= {">=", "<"}:
            wrong.append(f"{need}: not bounded on both sides")
        elif need.name in versions and not need.specifier.contains(
            versions[need.name], prereleases=True
        ):
            wrong.append(f"{need}: leaves out {need.name} {versions[need.name]}, which is here")
    return [f"{artifact.name}: {each}" for each in wrong]


def _text(raw: bytes) -> str:
    return str(email.parser.BytesParser().parsebytes(raw).get_payload())


def build_one(folder: Path, kind: Distribution, target: Path, time_s: int) -> Path:
    """A wheel or a source distribution of a folder, with the tools that are installed."""

    def run(
        cmd: Sequence[str],
        cwd: str | None = None,
        extra_environ: Mapping[str, str] | None = None,
    ) -> None:
        environment = {**(extra_environ or {}), "SOURCE_DATE_EPOCH": str(time_s)}
        quiet_subprocess_runner(cmd, cwd, environment)

    return Path(ProjectBuilder(folder, runner=run).build(kind, target))
