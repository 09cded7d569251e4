"""Makes the asserts of the contracts explain themselves in an author's run too."""

from __future__ import annotations

import pytest

__all__: list[str] = []

pytest.register_assert_rewrite("juststorage.testing.contracts")
