"""The conformance kit: what every plugin must pass, for authors inside and outside this house.

    pytest_plugins = ["juststorage.testing.fixtures"]

    class TestTape(BlobStoreContract):
        backend = TAPE  # the descriptor that production uses

        @pytest.fixture
        def options(self, tmp_path: Path) -> TapeOptions:
            return TapeOptions(root=tmp_path)

Each test opens the backend anew through its descriptor, as the service does. `options` must lead to
an **empty store for each test**. A test that is known to fail goes into `known_failures` with its
reason; it becomes a strict xfail, so that mending it is noticed.

A backend that waits on the event loop, or leaves files or tasks behind, fails. Where the fixture
`power_cut` can take the medium back to what was synced, blob stores are tested with it. A failure
says which rule it broke; at the end a line for each contract may be published (with pytest-xdist
it needs `-p juststorage.testing.fixtures` on the command line or in `addopts`).

Install the extra `juststorage-core[testing]`.
"""

from __future__ import annotations

# First: what it registers must not have been imported yet.
import juststorage.testing._assertions  # noqa: F401

# isort: split
from juststorage.testing import faults
from juststorage.testing._audit import audit_metadata
from juststorage.testing._builders import (
    make_api_key,
    make_content,
    make_intent,
    make_new_object,
    store_object,
)
from juststorage.testing._clock import FakeClock, SystemClock
from juststorage.testing._opening import open_backend, open_context
from juststorage.testing._required import do_without
from juststorage.testing.contracts import (
    AuthenticatorContract,
    BlobStoreContract,
    GCPolicyContract,
    HasherContract,
    MetadataStoreContract,
    PluginContract,
)

__all__ = [
    "AuthenticatorContract",
    "BlobStoreContract",
    "FakeClock",
    "GCPolicyContract",
    "HasherContract",
    "MetadataStoreContract",
    "PluginContract",
    "SystemClock",
    "audit_metadata",
    "do_without",
    "faults",
    "make_api_key",
    "make_content",
    "make_intent",
    "make_new_object",
    "open_backend",
    "open_context",
    "store_object",
]
