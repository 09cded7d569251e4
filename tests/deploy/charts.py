"""The Helm chart, rendered without a cluster, and the values that its tests render."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from helm_python.chart import Chart

__all__ = [
    "AT_AUTHORITIES",
    "AUTHORITIES",
    "CHART",
    "EMBEDDED",
    "MATRIX",
    "OBJECTS",
    "ROOT",
    "UNLIMITED",
    "kinds",
    "only",
    "pod_specs",
    "render",
]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "juststorage"

OBJECTS: dict[str, Any] = {
    "config": {
        "blobs": {
            "hot": {
                "backend": "objectstore",
                "localfs": None,
                "objectstore": {"url": "s3://bucket/hot", "region": "eu-1"},
            },
            "cold": {"backend": None, "localfs": None},
        }
    },
    "secrets": {"blobs.hot.objectstore.secret_access_key": {"name": "s3", "key": "secret"}},
}
EMBEDDED: dict[str, Any] = {
    "config": {"metadata": {"backend": "sqlite", "postgres": None}},
    "secrets": {"metadata.postgres.url": None},
}
SHOWN: dict[str, Any] = {}
"""The values that the documentation shows."""
for _block in re.findall(
    r"<!-- run by: tests/deploy/test_chart.py -->\n```yaml\n(.*?)```",
    (ROOT / "deploy" / "README.md").read_text(),
    re.DOTALL,
):
    SHOWN |= yaml.safe_load(_block)
[UNLIMITED] = SHOWN["extraObjects"]
"""The policy that the documentation shows."""

TOKENS = {"issuer": "https://i.example", "audience": ["s"], "discovery": True}
"""Options of the authenticator `jwt`."""

AUTHORITIES = {"name": "authorities", "secret": {"secretName": "authorities"}}
AT_AUTHORITIES = {"name": "authorities", "mountPath": "/etc/authorities", "readOnly": True}

MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "object store": OBJECTS | {"replicas": 3},
    "object store, scaled": OBJECTS | {"autoscaling": {"enabled": True}},
    "embedded": EMBEDDED,
    "embedded, where its owner wants it": {
        "config": {
            "data_dir": "/var/lib/juststorage/data/service",
            "server": {"host": "::", "port": 9000},
            "metadata": {
                "backend": "sqlite",
                "postgres": None,
                "sqlite": {"path": "/var/lib/juststorage/data/metadata.sqlite3"},
            },
            "backup": {
                "contents": {"backend": "localfs", "localfs": {"root": "/backups/contents"}},
                "manifests": {"backend": "localfs", "localfs": {"root": "/backups/manifests"}},
            },
            "blobs": {"cold": {"localfs": {"root": "/srv/cold"}}},
        },
        "secrets": {"metadata.postgres.url": None},
        "extraVolumes": [
            {"name": "backups", "persistentVolumeClaim": {"claimName": "backups"}},
            {"name": "cold-disk", "hostPath": {"path": "/srv/cold"}},
        ],
        "extraVolumeMounts": [
            {"name": "backups", "mountPath": "/backups/"},
            {"name": "cold-disk", "mountPath": "/srv/cold"},
        ],
    },
    "servers collect": OBJECTS | {"collector": {"enabled": False}},
    "others collect": OBJECTS
    | {
        "config": OBJECTS["config"] | {"gc": {"enabled": False}},
        "collector": {"enabled": False, "elsewhere": True},
    },
    "tokens of somebody else": {
        "config": {"auth": {"chain": ["api_key", "jwt"], "jwt": TOKENS}},
    },
    "traces": {
        "config": {"tracing": {"endpoint": "https://t.example/v1/traces", "sampling_ratio": 0.1}},
        "secrets": {"tracing.headers.x-team-key": {"name": "traces", "key": "key"}},
    },
    "a silent collector": {"config": {"gc": {"metrics_port": 0}}},
    "no migration": {"migration": {"enabled": False}},
    "everything else": OBJECTS
    | {
        "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"]},
        "plugins": {"packages": ["juststorage-blake3==1"], "pipOptions": ["--no-deps"]},
        "ingress": {"enabled": True, "host": "s.example", "className": "nginx", "tlsSecret": "t"},
        "gateway": {
            "enabled": True,
            "parentRefs": [{"name": "g", "sectionName": "https"}],
            "hostnames": ["s.example"],
            "annotations": SHOWN["gateway"]["annotations"],
        },
        "extraObjects": [UNLIMITED],
        "extraVolumes": [AUTHORITIES],
        "extraVolumeMounts": [AT_AUTHORITIES],
        "networkPolicy": {"from": [{"podSelector": {}}], "egress": [{"ports": [{"port": 5432}]}]},
        "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "env": [{"name": "X", "value": "y"}],
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "storage", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
    },
}


def render(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The manifests for these values."""
    with Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name="files", namespace="storage")
    return [
        manifest
        for name, text in files.items()
        if name.endswith(".yaml")
        for manifest in yaml.safe_load_all(text)
        if manifest
    ]


def pod_specs(manifests: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """The specification of each kind of pod."""
    return [
        (manifest["metadata"]["name"], manifest["spec"]["template"]["spec"])
        for manifest in manifests
        if "template" in manifest.get("spec", {})
    ]


def kinds(manifests: list[dict[str, Any]]) -> list[str]:
    """What there is, with names."""
    return sorted(f"{each['kind']} {each['metadata']['name']}" for each in manifests)


def only(kind: str, manifests: list[dict[str, Any]], name: str = "") -> Any:
    """The one manifest of a kind, or of a name too."""
    [found] = [
        each
        for each in manifests
        if each["kind"] == kind and each["metadata"]["name"].endswith(name)
    ]
    return found
