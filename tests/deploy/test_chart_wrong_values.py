"""Values that cannot work fail at `helm template`, with a sentence."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest
from helm_python.errors import HelmError

from tests.deploy.charts import CHART, ROOT, render

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("a misspelt value", {"replica": 2}, "replica"),
    ("a misspelt option", {"config": {"metadata": {"postgres": {"pool_sise": 5}}}}, "pool_sise"),
    ("an option out of bounds", {"config": {"server": {"workers": 100}}}, "workers"),
    ("a secret in plain sight", {"config": {"metadata": {"postgres": {"url": "x"}}}}, "url"),
    (
        "a header of the traces in plain sight",
        {"config": {"tracing": {"headers": {"authorization": "x"}}}},
        "headers",
    ),
    ("a backend that is not there", {"config": {"metadata": {"backend": "postgre"}}}, "postgre"),
    ("what forgets everything", {"config": {"metadata": {"backend": "memory"}}}, "forgets"),
    ("two pods with volumes", {"replicas": 2}, "replicas: 1 is the most"),
    ("scaling with volumes", {"autoscaling": {"enabled": True}}, "autoscaling.enabled"),
    (
        "no database",
        {"secrets": {"metadata.postgres.url": None}},
        "metadata.postgres.url is missing",
    ),
    ("one port for two", {"config": {"gc": {"metrics_port": 8080}}}, "the server's port"),
    (
        "a probe that cannot come in",
        {"config": {"gc": {"metrics_host": "127.0.0.1"}}},
        "from outside the pod",
    ),
    ("an ingress for nobody", {"ingress": {"enabled": True}}, "ingress.host"),
    ("a route from nowhere", {"gateway": {"enabled": True}}, "gateway.parentRefs"),
    ("whatever is newest", {"image": {"tag": "latest"}}, "image.tag"),
    (
        "half a reference",
        {"secrets": {"auth.api_key.bootstrap_key": {"name": "x", "key": None}}},
        "key",
    ),
    (
        "a misspelt secret",
        {"secrets": {"metadata.postgres.ulr": {"name": "x", "key": "k"}}},
        '"metadata.postgres.ulr"',
    ),
    (
        "a secret that is none",
        {"secrets": {"metadata.postgres.sslrootcert": {"name": "x", "key": "k"}}},
        '"metadata.postgres.sslrootcert"',
    ),
    (
        "a secret twice",
        {
            "plugins": {"backends": ["other"]},
            "config": {"blobs": {"hot": {"backend": "other", "other": {"token": "t"}}}},
            "secrets": {"blobs.hot.other.token": {"name": "n", "key": "k"}},
        },
        "is set although",
    ),
]


@pytest.mark.parametrize(
    ("values", "words"),
    [pytest.param(*row[1:], id=row[0]) for row in WRONG],
)
def test_wrong_values_fail_with_a_sentence(values: dict[str, Any], words: str) -> None:
    """At `helm template`, and the sentence names what is wrong."""
    with pytest.raises(HelmError) as caught:
        render(values)
    assert words in str(caught.value)


def test_backends_of_other_images() -> None:
    """A name that `plugins.backends` has is taken, with options that nobody knows here."""
    values = {
        "plugins": {"backends": ["other"]},
        "config": {"blobs": {"hot": {"backend": "other", "localfs": None, "other": {"where": 1}}}},
        "secrets": {"blobs.hot.other.token": {"name": "other", "key": "token"}},
    }
    text = json.dumps(render(values)).replace('\\"', '"')
    assert '"blobs"."hot"."other"."where" = 1' in text
    assert "blobs.hot.other.token.file = " in text


def test_the_schema_is_that_of_the_plugins() -> None:
    """What is committed is what `scripts/helm` writes."""
    path = ROOT / "scripts" / "write_helm_schema.py"
    spec = importlib.util.spec_from_file_location("write_helm_schema", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.files().items():
        assert (CHART / name).read_text() == text, f"{name}: run scripts/helm"
