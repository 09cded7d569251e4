"""Running servers: the harness of the HTTP interface's own tests, for everything above it.

It lives with the package, whose tests pass from its wheel alone; here it is loaded by its path.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["PATIENCE_S", "Server", "Watched", "on_terminal", "poll", "serve"]

_PATH = Path(__file__).parents[1] / "packages/juststorage-api/tests/integration/serve/conftest.py"

_spec = importlib.util.spec_from_file_location("juststorage_serve_harness", _PATH)
assert _spec is not None
assert _spec.loader is not None
_harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_harness)

PATIENCE_S = _harness.PATIENCE_S
SECRETS = _harness.SECRETS
Server = _harness.Server
Watched = _harness.Watched
on_terminal = _harness.on_terminal
poll = _harness.poll
serve = _harness.serve
