"""Pictures of how figures grow, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pygal  # type: ignore[import-untyped]

from benchmarks.load.report import Series, number

__all__ = ["draw"]


def draw(series: Sequence[Series], folder: Path) -> None:
    """One picture for what figures grow with and their unit, `<along>-<unit>.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    together: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        together.setdefault((one.along, one.unit), []).append(one)
    for (along, unit), lines in together.items():
        # No script from elsewhere: the picture must open from a disk.
        chart = pygal.XY(
            js=(),
            logarithmic=False,
            x_title=along,
            y_title=unit,
            include_x_axis=True,
            legend_at_bottom=True,
            width=700,
            height=400,
        )
        labels = sorted({x for line in lines for x, _ in line.points})
        # Every step is as wide as the next: what is counted grows tenfold, not by addition.
        chart.x_labels = [{"value": place, "label": number(x)} for place, x in enumerate(labels)]
        for line in lines:
            chart.add(line.name, [(labels.index(x), y) for x, y in line.points])
        name = f"{along}-{unit}".replace("/s", "per-s").replace("/", "-").replace(" ", "-")
        chart.render_to_file(str(folder / f"{name.lower()}.svg"))
