"""Write the OpenAPI document to a file: `python scripts/write_openapi.py FILE`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from juststorage_api._openapi.document import openapi_document


def text() -> str:
    """The document as it is committed: sorted, so that a diff shows what changed and no more."""
    return json.dumps(openapi_document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text())
