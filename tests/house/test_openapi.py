"""docs/openapi.json is the contract that this code keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs/openapi.json"


def test_the_committed_document_is_that_of_the_code(tmp_path: Path) -> None:
    """A change of the contract is a change of this file: run scripts/openapi, and review it."""
    made = tmp_path / "openapi.json"
    subprocess.run([sys.executable, ROOT / "scripts/write_openapi.py", made], check=True)
    assert made.read_text() == COMMITTED.read_text(), "run scripts/openapi"


def test_the_committed_document_is_valid() -> None:
    """OpenAPI 3.1, by a validator that is not ours."""
    OpenAPIV31SpecValidator(json.loads(COMMITTED.read_text())).validate()
