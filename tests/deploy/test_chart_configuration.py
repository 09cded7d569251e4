"""What the chart configures is what the service takes, in the environment that the image gives it.

The configuration that each row of values renders is given to `juststorage config check`, so that a
pod never starts with a wrong setting that the chart let through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from juststorage.cli._main import juststorage
from tests.deploy.charts import MATRIX, only, pod_specs, render
from tests.deploy.dockerfile import variables

SECRETS = "/run/secrets/juststorage"


class Process(NamedTuple):
    """A container as the kubelet starts it: the file, and the environment beside the image's."""

    name: str
    text: str
    environment: dict[str, str]

    def run(self, folder: Path, *command: str, bare: bool = False) -> Result:
        """`juststorage config ...` in it, its secrets in this folder; `bare`: by the file alone."""
        for path in re.findall(rf'"{SECRETS}/([^"]+)"', self.text):
            content = "postgresql://u:p@db/d" if path.endswith("url") else "x" * 32
            (folder / path).write_text(content)
        file = folder / "juststorage.toml"
        file.write_text(self.text.replace(SECRETS, str(folder)))
        environment = {} if bare else variables() | self.environment
        taken = {name: value for name, value in environment.items() if name.startswith("JUST")}
        arguments = ["config", *command, "--config", str(file)]
        return CliRunner(env=dict(taken)).invoke(juststorage, arguments)


def processes(manifests: list[dict[str, Any]]) -> Iterator[Process]:
    """Every container that reads the configuration."""
    for pod, spec in pod_specs(manifests):
        [name] = [v["configMap"]["name"] for v in spec["volumes"] if v["name"] == "config"]
        text = only("ConfigMap", manifests, name)["data"]["juststorage.toml"]
        for container in spec["containers"]:
            environment = {each["name"]: each["value"] for each in container["env"]}
            yield Process(f"{pod}: {container['name']}", text, environment)


@pytest.mark.parametrize("row", MATRIX)
def test_the_service_takes_the_configuration(row: str, tmp_path: Path) -> None:
    """`juststorage config check` accepts it, once the secrets are where the pod has them."""
    found = list(processes(render(MATRIX[row])))
    assert found
    for process in found:
        result = process.run(tmp_path, "check")
        assert result.exit_code == 0, f"{process.name}: {result.output}"


@pytest.mark.parametrize("row", MATRIX)
def test_no_variable_wins_over_the_values(row: str, tmp_path: Path) -> None:
    """Variables win over the file: those of the image must say no other thing than the values."""
    for process in processes(render(MATRIX[row])):
        shown = [process.run(tmp_path, "show", "--json", bare=bare) for bare in (False, True)]
        told, meant = (json.loads(each.stdout) for each in shown)
        assert told == meant, process.name


def test_variables_are_compared() -> None:
    """The comparison can fail: the image has variables that are settings, each of them known."""
    settings = {name for name in variables() if name.startswith("JUSTSTORAGE__")}
    assert settings == {"JUSTSTORAGE__DATA_DIR", "JUSTSTORAGE__SERVER__HOST"}


@pytest.mark.parametrize("left_out", ["data_dir", "server.host"])
def test_settings_that_are_left_out_are_what_the_chart_needs(left_out: str, tmp_path: Path) -> None:
    """Neither the service's defaults nor the image's: what volumes and probes go by."""
    section, _, option = left_out.partition(".")
    values = {"config": {section: {option: None} if option else None}}
    for process in processes(render(values)):
        told = json.loads(process.run(tmp_path, "show", "--json").stdout)
        assert told["data_dir"] == "/var/lib/juststorage/data"
        assert told["server"]["host"] == "0.0.0.0"
