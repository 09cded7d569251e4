"""Write the schema of the chart's values: the options of our plugins, and what the chart adds.

Usage: write_helm_schema.py FOLDER_OF_THE_CHART
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from juststorage.config import Config, schema
from juststorage.plugins._records import KIND_WORDS
from juststorage.runtime import PluginHost

OURS: Final = ("api", "localfs", "objectstore", "postgres", "sqlite")
CORE: Final = "juststorage-core"

STRING: Final = {"type": "string"}
FLAG: Final = {"type": "boolean"}
ANY: Final = {"type": "object"}
NAMED: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}},
    "required": ["name"],
}
MOUNT: Final = {
    "type": "object",
    "properties": {**NAMED["properties"], "mountPath": {"type": "string", "pattern": "^/"}},
    "required": ["name", "mountPath"],
}
ROOM: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "size": {"type": "string", "pattern": "^[0-9]+([KMGTPE]i?)?$"},
        "storageClass": {"type": ["string", "null"]},
    },
    "required": ["size"],
}
SECRET: Final = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "properties": {"name": {"type": "string", "minLength": 1}, "key": STRING},
    "required": ["name", "key"],
}


def strings() -> dict[str, Any]:
    """A list of them."""
    return {"type": "array", "items": STRING}


def table(**properties: Any) -> dict[str, Any]:
    """An object with these members and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def whole(least: int, most: int) -> dict[str, Any]:
    """A whole number between two."""
    return {"type": "integer", "minimum": least, "maximum": most}


def of_values(config: dict[str, Any]) -> dict[str, Any]:
    """The schema of all values."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart juststorage",
        **table(
            image=table(
                repository={"type": "string", "minLength": 1},
                tag=STRING,
                digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
                pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
                pullSecrets=strings(),
            ),
            plugins=table(packages=strings(), pipOptions=strings(), backends=strings()),
            config=config,
            secrets={
                "type": "object",
                "propertyNames": {"pattern": r"^[a-z0-9_]+(\.[a-z0-9_-]+)+$"},
                "additionalProperties": SECRET,
            },
            extraVolumes={"type": "array", "items": NAMED},
            extraVolumeMounts={"type": "array", "items": MOUNT},
            replicas=whole(1, 1000),
            storage=table(hot=ROOM, cold=ROOM, data=ROOM),
            collector=table(enabled=FLAG, elsewhere=FLAG, resources=ANY),
            migration=table(enabled=FLAG, activeDeadlineSeconds=whole(1, 604_800), resources=ANY),
            resources=ANY,
            autoscaling=table(
                enabled=FLAG,
                minReplicas=whole(1, 1000),
                maxReplicas=whole(1, 1000),
                targetCPUUtilizationPercentage=whole(1, 100),
            ),
            podDisruptionBudget=table(
                enabled=FLAG,
                maxUnavailable={"anyOf": [whole(0, 1000), {"type": "string", "pattern": "%$"}]},
            ),
            service=table(
                type={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
                port=whole(1, 65_535),
                annotations=ANY,
            ),
            ingress=table(
                enabled=FLAG,
                className={"type": ["string", "null"]},
                host=STRING,
                path={"type": "string", "pattern": "^/"},
                tlsSecret=STRING,
                annotations=ANY,
            ),
            gateway=table(
                enabled=FLAG,
                parentRefs={"type": "array", "items": ANY},
                hostnames=strings(),
                annotations=ANY,
            ),
            extraObjects={"type": "array", "items": ANY},
            networkPolicy=table(
                enabled=FLAG,
                **{"from": {"type": "array", "items": ANY}},
                egress={"type": ["array", "null"], "items": ANY},
            ),
            metrics=table(serviceMonitor=table(enabled=FLAG, interval=STRING, labels=ANY)),
            serviceAccount=table(annotations=ANY),
            runAs=whole(1, 2**31 - 1),
            env={"type": "array", "items": NAMED},
            nodeSelector=ANY,
            tolerations={"type": "array", "items": ANY},
            affinity=ANY,
            topologySpreadConstraints={"type": "array", "items": ANY},
            podAnnotations=ANY,
            podLabels=ANY,
            **{"global": ANY},  # Helm's own
        ),
    }


def for_chart(node: Any) -> Any:
    """A schema of the configuration, as the chart's values may have it.

    Secrets are left out: they come by reference alone. A table of a backend that is not known here
    is let through, because an image may have more plugins; the templates look at its name.
    """
    if isinstance(node, list):
        return [for_chart(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {name: for_chart(each) for name, each in node.items() if not _is_secret(each)}
    properties = found.get("properties", {})
    for selector in ("backend", "policy", "chain"):
        if isinstance(properties.get(selector), dict) and "description" in found:
            chosen = properties[selector]
            known = chosen.pop("enum", None) or chosen.get("items", {}).pop("enum", None)
            if known is not None:
                chosen["description"] = f"{chosen['description']}; here: {', '.join(known)}"
                found["additionalProperties"] = {"type": "object"}
    left_out = set(node.get("properties", {})) - set(properties) if properties else set()
    if left_out and "required" in found:
        found["required"] = [name for name in found["required"] if name not in left_out]
    return found


def _is_secret(node: Any) -> bool:
    """Whether a setting is a secret, or a table of them by name."""
    if not isinstance(node, dict):
        return False
    inner = (node.get("additionalProperties"), *node.get("anyOf", ()))  # an optional one, too
    return bool(node.get("writeOnly")) or any(map(_is_secret, inner))


def secrets_of(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """The secret options of a schema; one that ends with `*` has members of any name."""
    for name, each in node.get("properties", {}).items():
        here = (*path, name)
        if not _is_secret(each):
            yield from secrets_of(each, here)
        else:
            yield ".".join((*here, "*") if "additionalProperties" in each else here)


def choices(host: PluginHost) -> dict[str, Any]:
    """What each section chooses from, by its place, for the templates to compare with.

    `offers` has, for each backend, its plugin, whether that is one of core's own, which an allow
    list need not name, and the options that it cannot be without.
    """
    found: dict[str, Any] = {}
    for place, section in Config().sections().items():
        offers = {
            name: {
                "plugin": offer.record.name,
                "core": offer.record.distribution == CORE,
                "required": [
                    field.encode_name
                    for field in msgspec.structs.fields(offer.item.options)
                    if field.required
                ],
            }
            for name, offer in sorted(host.backends(section.kind).items())
        }
        found[place] = {
            "word": KIND_WORDS[section.kind],
            "selector": section.selector,
            "default": list(section.chosen),
            "offers": offers,
        }
    return found


def files() -> dict[str, str]:
    """What is written: by name."""
    host = PluginHost(enabled=OURS).load()
    described = schema(host)
    known = {
        "sections": choices(host),
        "serve": host.commands["serve"].record.name,
        "secrets": sorted(secrets_of(described)),
    }
    made = for_chart(described)
    del made["$schema"], made["title"]
    return {
        "values.schema.json": json.dumps(of_values(made), indent=1, sort_keys=True) + "\n",
        "backends.json": json.dumps(known, indent=1) + "\n",
    }


if __name__ == "__main__":
    for name, text in files().items():
        (Path(sys.argv[1]) / name).write_text(text)
