"""What the chart configures is what the service takes.

The configuration that each row of values renders is given to `juststorage config check`, so that a
pod never starts with a wrong setting that the chart let through.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from juststorage.cli._main import juststorage
from tests.deploy.charts import MATRIX, render


@pytest.mark.parametrize("row", MATRIX)
def test_the_service_takes_the_configuration(row: str, tmp_path: Path) -> None:
    """`juststorage config check` accepts it, once the secrets are where the pod has them."""
    for manifest in render(MATRIX[row]):
        if manifest["kind"] != "ConfigMap":
            continue
        text: str = manifest["data"]["juststorage.toml"]
        for path in re.findall(r'"/run/secrets/juststorage/([^"]+)"', text):
            content = "postgresql://u:p@db/d" if path.endswith("url") else "x" * 32
            (tmp_path / path).write_text(content)
        file = tmp_path / "juststorage.toml"
        file.write_text(text.replace("/run/secrets/juststorage", str(tmp_path)))
        result = CliRunner().invoke(juststorage, ["config", "check", "--config", str(file)])
        assert result.exit_code == 0, result.output
