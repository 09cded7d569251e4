"""What only some machines have: its tests are skipped elsewhere, and never unseen.

Where `JUSTSTORAGE_TEST_REQUIRE` names the thing, as in continuous integration, they fail instead.
"""

from __future__ import annotations

import os
from typing import Final, NoReturn

import pytest

__all__ = ["do_without"]

_VARIABLE: Final = "JUSTSTORAGE_TEST_REQUIRE"


def do_without(name: str, why: str) -> NoReturn:
    """Skip the test that asked for it, or fail it where the thing is required.

    Args:
        name: As the variable has it, between commas.
        why: What is missing, and what to do about it.
    """
    required = os.environ.get(_VARIABLE, "").split(",")
    (pytest.fail if name in required else pytest.skip)(why)
