"""What the plugin looks like from outside."""

from __future__ import annotations

import subprocess
import sys

from juststorage_localfs import plugin


def test_what_it_offers() -> None:
    """One blob store, durable, with every capability of the port."""
    (backend,) = plugin.juststorage_blob_stores()
    assert backend is plugin.LOCALFS
    assert backend.name == "localfs"
    assert backend.durable
    able = backend.capabilities
    assert able.local_path and able.read_now and able.trash and able.fixed_names
    assert able.space and able.stable_readers


def test_importing_it_is_light() -> None:
    """Whoever lists plugins does not pay for the store."""
    code = (
        "import sys, juststorage_localfs.plugin\n"
        "print([m for m in sys.modules if m.startswith('juststorage_localfs.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['juststorage_localfs.plugin']"
