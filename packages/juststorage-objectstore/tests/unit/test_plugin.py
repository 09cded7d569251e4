"""What the plugin looks like from outside."""

from __future__ import annotations

import subprocess
import sys

from juststorage_objectstore import plugin


def test_what_it_offers() -> None:
    """One blob store with generations, durable, without a trash."""
    (backend,) = plugin.juststorage_blob_stores()
    assert backend is plugin.OBJECTSTORE
    assert backend.name == "objectstore"
    assert backend.durable
    able = backend.capabilities
    assert able.read_now
    assert not (able.trash or able.fixed_names or able.local_path or able.space)


def test_importing_it_is_light() -> None:
    """Whoever lists plugins does not pay for the client."""
    code = (
        "import sys, juststorage_objectstore.plugin\n"
        "print('obstore' in sys.modules, [m for m in sys.modules if m.startswith('juststorage_o')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "False",
        "['juststorage_objectstore',",
        "'juststorage_objectstore._options',",
        "'juststorage_objectstore.plugin']",
    ]
