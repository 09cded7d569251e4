"""What many installed plugins cost at start-up; `benchmarks/plugins.py` has it in milliseconds."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

PLUGINS = 50

LOAD = """
import os, sys
from juststorage.plugins import HasherBackend
from juststorage.runtime import PluginHost

opened = []
def hook(event, arguments):
    if event == "open" and str(arguments[0]).startswith(sys.argv[1]):
        opened.append(os.path.basename(str(arguments[0])))
sys.addaudithook(hook)
sys.path.insert(0, sys.argv[1])
host = PluginHost(search_path=[sys.argv[1]], core_version="0.1.0").load()
for name in ("h7", "h41"):
    host.options(host.select("hasher", name, setting="hasher.backend"), {"size": 2}, place="x")
print(len(host.backends("hasher")), opened.count("METADATA"), opened.count("entry_points.txt"))
"""


def test_each_distribution_is_read_once(site: Any) -> None:
    """Of fifty plugins with two selected, metadata and entry points are read once each."""
    for number in range(PLUGINS):
        site.add_hasher(f"acme-{number}", f"plugin{number}", f"h{number}")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(site.directory)],
        check=True,
        capture_output=True,
        text=True,
        env={},
        timeout=60,
    )
    assert done.stdout.split() == [str(PLUGINS)] * 3
