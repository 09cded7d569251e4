"""The dashboard and the alerts in `deploy/monitoring`, on the metrics of a running service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from juststorage.metrics import SERVICE_FAMILIES
from juststorage.testing import do_without
from juststorage_api._meters import _FAMILIES
from juststorage_postgres.testing import postgres_server, postgres_template
from tests.harness import poll
from tests.wire.serving import served
from tests.wire.wire import Service

__all__ = ["postgres_server", "postgres_template"]

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring"
ALERTS = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
TARGETS = [(panel["title"], each["expr"]) for panel in PANELS for each in panel["targets"]]
METRIC = re.compile(r"\b(?:juststorage|http_server)_\w+")
ON_NO_PANEL: dict[str, str] = {}
COMPARISON = re.compile(r"\s(?:[<>]=?|==)\s+[\d.* ]+\s*\Z")


@pytest.fixture(scope="module")
def promtool() -> str:
    """Where Prometheus' own tool is."""
    found = shutil.which("promtool")
    if found is None:
        do_without("promtool", "promtool is missing: install Debian's package prometheus")
    return found


@pytest.fixture(scope="module")
def scrapes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """What a service says that was just started, and once it has seen a bit of everything."""
    folder = tmp_path_factory.mktemp("monitoring")
    settings = "[metrics]\ncount_interval_s = 0.2\n[gc]\ninterval_s = 0.2\n"
    with served("postgres", request, folder, settings) as service:
        audit = ["-c", "from juststorage.cli import main; main()", "fsck", "--config"]
        subprocess.run([sys.executable, *audit, folder / "juststorage.toml"], check=True)
        yield exercised(service)


def exercised(service: Service) -> tuple[str, str]:
    """The metrics before and after."""

    def scrape() -> str:
        answer = service.ask("GET", "/metrics")
        assert answer.status == 200
        return answer.body.decode()

    def switch(read_only: bool) -> Any:
        body = json.dumps({"read_only": read_only}).encode()
        fields = "Content-Type: application/json"
        return service.ask("POST", "/v1/admin/read-only", fields, body=body)

    def do_all() -> None:
        target = "/v1/objects/by-key/ns/acme/k"
        assert service.ask("PUT", target, body=b"x" * 1000).status in {200, 201}
        assert service.ask("GET", target).status == 200
        assert service.ask("HEAD", target).status == 200
        assert service.ask("GET", f"{target}/none").status == 404
        assert switch(True).status == 200
        assert service.ask("DELETE", target).status == 503
        assert switch(False).status == 200

    do_all()
    poll(lambda: "juststorage_objects{" in scrape(), "what is stored is counted")
    poll(lambda: "juststorage_fsck_findings" in scrape(), "the audit is seen")
    first = scrape()
    do_all()
    poll(lambda: scrape() != first, "it counts on")
    return first, scrape()


def values(text: str) -> dict[str, str]:
    """Each series as Prometheus stores it: with the labels of its target."""
    found = {"up{" + TARGET + "}": "1"}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name, _, labels = series.partition("{")
            found[f"{name}{{{TARGET}{',' + labels if labels else '}'}"] = value
    return found


TARGET = 'instance="one:8080",job="juststorage"'


def evaluate(promtool: str, scrapes: tuple[str, str], folder: Path, *exprs: str) -> dict[str, bool]:
    """Evaluate on what was scraped: whether each expression has any value."""
    first, second = (values(each) for each in scrapes)
    series = [
        {"series": name, "values": f"{first.get(name, '_')} {first.get(name, '_')} {value}x9"}
        for name, value in second.items()
    ]
    for each in series:
        each["values"] = each["values"].replace("NaN", "_")
    test = {
        "rule_files": [],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": series,
                # Nothing is expected: whatever has a value is told.
                "promql_expr_test": [{"expr": expr, "eval_time": "2m"} for expr in exprs],
            }
        ],
    }
    file = folder / "evaluated.yaml"
    file.write_text(yaml.safe_dump(test))
    run = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    told = set(re.findall(r'expr: ("(?:[^"\\]|\\.)*"), time: 2m,', run.stdout + run.stderr))
    assert "parse error" not in run.stdout + run.stderr
    return {expr: json.dumps(expr) in told for expr in exprs}


def test_the_metrics_follow_the_conventions(promtool: str, scrapes: tuple[str, str]) -> None:
    """Prometheus' own check of names, types and help has nothing to say."""
    for text in scrapes:
        run = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_pool_of_a_real_database_is_told(scrapes: tuple[str, str]) -> None:
    """Open connections, those in use, and calls that wait to be gathered."""
    of_database = {
        name: float(value)
        for name, value in re.findall(
            r'^juststorage_backend_(\w+)\{backend="metadata"\} (\S+)$', scrapes[1], re.MULTILINE
        )
    }
    assert of_database.keys() == {"connections", "connections_in_use", "waiting"}
    assert 1 <= of_database["connections"] <= 50
    assert 0 <= of_database["connections_in_use"] <= of_database["connections"]
    assert of_database["waiting"] >= 0


def test_every_panel_shows_something(
    promtool: str, scrapes: tuple[str, str], tmp_path: Path
) -> None:
    """Each expression of the dashboard has values on what was scraped."""
    exprs = [expr.replace("$__rate_interval", "2m").replace("$job", ".*") for _, expr in TARGETS]
    found = evaluate(promtool, scrapes, tmp_path, *exprs)
    assert [expr for expr, has_value in found.items() if not has_value] == []


def test_every_alert_looks_at_something(
    promtool: str, scrapes: tuple[str, str], tmp_path: Path
) -> None:
    """What each one compares has a value, so that none is silent because of a name."""
    compared = [COMPARISON.sub("", rule["expr"]) for rule in ALERTS]
    assert all(left != rule["expr"] for left, rule in zip(compared, ALERTS, strict=True))
    found = evaluate(promtool, scrapes, tmp_path, *compared)
    assert [expr for expr, has_value in found.items() if not has_value] == []


def test_a_wrong_name_is_heard(promtool: str, scrapes: tuple[str, str], tmp_path: Path) -> None:
    """The two tests above can fail."""
    wrong = "sum(rate(juststorage_http_request_total[2m]))"
    assert evaluate(promtool, scrapes, tmp_path, wrong, "up") == {wrong: False, "up": True}


@pytest.mark.timeout(400)  # the tool alone takes half a minute of both processors
def test_the_alerts_fire_when_they_should(promtool: str) -> None:
    """As alerts.test.yaml says, with Prometheus' own tool; and that file has each of them."""
    run = subprocess.run(
        [promtool, "test", "rules", str(FOLDER / "alerts.test.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    tests: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test.get("alert_rule_test", ())
        if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in ALERTS}


def test_the_dashboard_is_whole() -> None:
    """Each metric of the service is on a panel, or below with the reason why it is on none."""
    families = {family.name for family in (*_FAMILIES, *SERVICE_FAMILIES) if not family.hidden}
    text = " ".join(expr for _, expr in TARGETS)
    named = {re.sub("_(?:bucket|sum|count)$", "", each) for each in METRIC.findall(text)}
    assert named - families == set(), "no metric of ours"
    assert families - named == set(ON_NO_PANEL)


def test_panels_do_not_cover_each_other() -> None:
    """Each has an expression, a title of its own, and a place that no other one has."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert [panel["title"] for panel in PANELS if not panel["targets"]] == []
    assert len({title for title, _ in TARGETS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in PANELS):
        columns = range(place["x"], place["x"] + place["w"])
        cells = set(product(columns, range(place["y"], place["y"] + place["h"])))
        assert columns.stop <= 24
        assert not taken & cells
        taken |= cells
