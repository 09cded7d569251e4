"""The Helm chart: rendered without a cluster, checked against Kubernetes' own schemas.

What it configures, which values it refuses and what its packages do is tested beside this.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from helm_python.chart import lint

from tests.deploy.charts import (
    AT_AUTHORITIES,
    AUTHORITIES,
    CHART,
    EMBEDDED,
    MATRIX,
    OBJECTS,
    ROOT,
    UNLIMITED,
    kinds,
    only,
    pod_specs,
    render,
)
from tests.deploy.custom import CUSTOM, problems

KUBERNETES = "1.37"


def collectors(manifests: list[dict[str, Any]]) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """The containers that collect, each with the labels of its pod."""
    templates = [m["spec"]["template"] for m in manifests if "template" in m.get("spec", {})]
    return [
        (template["metadata"]["labels"], container)
        for template in templates
        for container in template["spec"]["containers"]
        if container["name"] == "collector"
    ]


@pytest.fixture(params=MATRIX, scope="module")
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What each row of the matrix renders."""
    return render(MATRIX[request.param])


def test_every_manifest_is_one(manifests: list[dict[str, Any]]) -> None:
    """As Kubernetes' schemas say, without a field that it would drop in silence."""
    for manifest in manifests:
        if manifest["kind"] in CUSTOM:
            assert problems(manifest) == []
        elif manifest["kind"] != UNLIMITED["kind"]:
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "files"


def test_custom_kinds_are_checked() -> None:
    """Each is rendered by a row of the matrix, and its definition notices what is wrong."""
    manifests = {each["kind"]: each for each in render(MATRIX["everything else"])}
    assert manifests.keys() >= {"HTTPRoute", "PodMonitor", "ServiceMonitor"} == CUSTOM
    route, monitor = manifests["HTTPRoute"], manifests["ServiceMonitor"]
    route["spec"]["rules"][0]["timeouts"]["request"] = "soon"
    route["spec"]["hostNames"] = []
    assert sorted(each.partition(":")[0] for each in problems(route)) == [
        "$.spec",
        "$.spec.rules[0].timeouts.request",
    ]
    del monitor["spec"]["selector"]
    monitor["spec"]["endpoints"][0]["intervall"] = "1m"
    assert sorted(each.partition(":")[0] for each in problems(monitor)) == [
        "$.spec",
        "$.spec.endpoints[0]",
    ]
    manifests["PodMonitor"]["spec"]["podMetricsEndpoints"][0]["interval"] = 30
    assert len(problems(manifests["PodMonitor"])) == 1


def test_a_policy_of_a_gateway() -> None:
    """It is rendered with the chart's labels, and its names are those of this release."""
    [policy] = [
        each for each in render(MATRIX["everything else"]) if each["kind"] == UNLIMITED["kind"]
    ]
    [route] = [each for each in render(MATRIX["everything else"]) if each["kind"] == "HTTPRoute"]
    assert policy["spec"]["targetRef"]["name"] == route["metadata"]["name"]
    assert policy["spec"]["body"]["maxSize"] == "0"
    assert route["metadata"]["annotations"]["konghq.com/request-buffering"] == "false"


def test_every_pod_is_confined(manifests: list[dict[str, Any]]) -> None:
    """The level `restricted` of the pod security standards; a limit of memory; a fixed image."""
    assert pod_specs(manifests)
    for _, spec in pod_specs(manifests):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert re.search(r":[0-9][^:]*$|@sha256:[0-9a-f]{64}$", container["image"])
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert "tmp" in mounted


def test_every_mount_has_its_volume(manifests: list[dict[str, Any]]) -> None:
    """Of the pod, or of a claim; and every config map and account that is named is rendered."""
    there = set(kinds(manifests))
    for manifest in manifests:
        if "template" not in manifest.get("spec", {}):
            continue
        spec = manifest["spec"]["template"]["spec"]
        claims = manifest["spec"].get("volumeClaimTemplates", [])
        volumes = {each["name"] for each in spec["volumes"]}
        volumes |= {each["metadata"]["name"] for each in claims}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        maps = [each["configMap"]["name"] for each in spec["volumes"] if "configMap" in each]
        assert {f"ConfigMap {name}" for name in maps} <= there
        if "serviceAccountName" in spec:
            assert f"ServiceAccount {spec['serviceAccountName']}" in there


def test_volumes_decide_what_runs() -> None:
    """With local files one pod that keeps its volumes; with an object store as many as wanted."""
    local = kinds(render({}))
    assert "StatefulSet files-juststorage" in local
    assert "Deployment files-juststorage-collector" not in local
    [claims] = [
        manifest["spec"]["volumeClaimTemplates"]
        for manifest in render({})
        if manifest["kind"] == "StatefulSet"
    ]
    assert [each["metadata"]["name"] for each in claims] == ["hot", "cold"]
    remote = kinds(render(MATRIX["object store"]))
    assert "Deployment files-juststorage" in remote
    assert "Deployment files-juststorage-collector" in remote
    embedded = render(EMBEDDED)
    assert "Job files-juststorage-migrate" not in kinds(embedded)
    [stateful] = [each for each in embedded if each["kind"] == "StatefulSet"]
    names = [each["metadata"]["name"] for each in stateful["spec"]["volumeClaimTemplates"]]
    assert names == ["data", "hot", "cold"]


def test_someone_collects() -> None:
    """Exactly one kind of process: the collector, or the servers where there is none."""
    for values, servers_collect in (({}, False), (MATRIX["servers collect"], True)):
        manifests = render(values)
        [text] = [
            each["data"]["juststorage.toml"]
            for each in manifests
            if each["kind"] == "ConfigMap" and not each["metadata"]["name"].endswith("migrate")
        ]
        containers = [
            each["name"] for _, spec in pod_specs(manifests) for each in spec["containers"]
        ]
        assert tomllib.loads(text)["gc"].get("enabled", True) is servers_collect
        assert ("collector" in containers) is not servers_collect


def test_the_schema_is_brought_up_to_date_first() -> None:
    """By a Job before installation and upgrade, with a configuration that is there by then."""
    jobs = [
        each for each in render({}) if "helm.sh/hook" in each["metadata"].get("annotations", {})
    ]
    weights = {
        each["kind"]: int(each["metadata"]["annotations"]["helm.sh/hook-weight"]) for each in jobs
    }
    assert weights["ConfigMap"] < weights["Job"]
    assert {each["metadata"]["annotations"]["helm.sh/hook"] for each in jobs} == {
        "pre-install,pre-upgrade"
    }


def test_probes_ask_what_there_is() -> None:
    """Each path is one of the service's, and open to whoever asks."""
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    [(_, spec)] = [each for each in pod_specs(render(OBJECTS)) if each[0] == "files-juststorage"]
    [container] = spec["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert paths[container[probe]["httpGet"]["path"]]["get"]["security"] == []
    assert spec["terminationGracePeriodSeconds"] > 5 + 60 + 10


def test_what_guards_the_pods_is_about_the_pods() -> None:
    """Disruption budget, autoscaler and network policy mean the server's pods, by their labels."""
    manifests = render(OBJECTS | {"autoscaling": {"enabled": True}})
    server = only("Deployment", manifests, "files-juststorage")
    labels = server["spec"]["template"]["metadata"]["labels"].items()
    budget = only("PodDisruptionBudget", manifests)["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels
    assert budget["maxUnavailable"] == 1
    policy = only("NetworkPolicy", manifests)["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels
    scaler = only("HorizontalPodAutoscaler", manifests)["spec"]
    assert scaler["scaleTargetRef"]["kind"] == "Deployment"
    assert scaler["scaleTargetRef"]["name"] == server["metadata"]["name"]
    assert 1 < scaler["minReplicas"] < scaler["maxReplicas"]
    assert "replicas" not in server["spec"], "an upgrade would undo what the autoscaler did"


def test_volumes_belong_to_one_pod() -> None:
    """Hot and cold: claims of a pod alone, of the sizes in the values, where the backends look."""
    manifests = render({"storage": {"hot": {"size": "1Gi", "storageClass": "fast"}}})
    stateful = only("StatefulSet", manifests)["spec"]
    claims = {each["metadata"]["name"]: each["spec"] for each in stateful["volumeClaimTemplates"]}
    assert {each["accessModes"][0] for each in claims.values()} == {"ReadWriteOnce"}
    assert claims["hot"]["resources"]["requests"]["storage"] == "1Gi"
    assert claims["hot"]["storageClassName"] == "fast"
    config = tomllib.loads(only("ConfigMap", manifests, "-juststorage")["data"]["juststorage.toml"])
    for container in stateful["template"]["spec"]["containers"]:
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        for name in claims:
            root = config["blobs"][name]["localfs"]["root"]
            assert root.startswith(mounts[name] + "/"), container["name"]


def test_proxies_do_not_limit_bodies() -> None:
    """Neither their size nor their time, and they are passed on as they come."""
    manifests = render(MATRIX["everything else"])
    told = only("Ingress", manifests)["metadata"]["annotations"]
    of_nginx = "nginx.ingress.kubernetes.io/proxy-"
    assert told[f"{of_nginx}body-size"] == "0"
    assert told[f"{of_nginx}request-buffering"] == told[f"{of_nginx}buffering"] == "off"
    [rule] = only("HTTPRoute", manifests)["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    own = render({"ingress": MATRIX["everything else"]["ingress"] | {"annotations": {"a": "b"}}})
    assert only("Ingress", own)["metadata"]["annotations"][f"{of_nginx}body-size"] == "0"


def test_files_that_options_name_can_be_there() -> None:
    """The authority of the database's certificate, say: in each container that reads options."""
    postgres = {"sslmode": "verify-full", "sslrootcert": "/etc/authorities/ca.crt"}
    for kind in ({}, OBJECTS):
        values = kind | {
            "config": {**kind.get("config", {}), "metadata": {"postgres": postgres}},
            "extraVolumes": [AUTHORITIES],
            "extraVolumeMounts": [AT_AUTHORITIES],
        }
        manifests = render(values)
        assert 'sslrootcert" = "/etc/authorities/ca.crt"' in json.dumps(manifests).replace("\\", "")
        for name, spec in pod_specs(manifests):
            assert AUTHORITIES in spec["volumes"], name
            for container in spec["containers"]:
                assert AT_AUTHORITIES in container["volumeMounts"], name


@pytest.mark.parametrize("kind", [{}, OBJECTS], ids=["in the server's pod", "in its own"])
def test_the_collector_can_be_seen(kind: dict[str, Any]) -> None:
    """By the kubelet and by Prometheus, at the port at which its configuration has it listen."""
    manifests = render(kind | {"metrics": {"serviceMonitor": {"enabled": True}}})
    [(labels, container)] = collectors(manifests)
    [port] = container["ports"]
    for text in (m["data"]["juststorage.toml"] for m in manifests if m["kind"] == "ConfigMap"):
        gc = tomllib.loads(text)["gc"]
        assert (gc["metrics_host"], gc["metrics_port"]) == ("0.0.0.0", port["containerPort"])
    assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": port["name"]}
    [monitor] = [each["spec"] for each in manifests if each["kind"] == "PodMonitor"]
    assert [each["port"] for each in monitor["podMetricsEndpoints"]] == [port["name"]]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    # The alerts and the dashboard look for this job.
    assert labels[monitor["jobLabel"]] == "juststorage"
    [policy] = [each["spec"] for each in manifests if each["kind"] == "NetworkPolicy"]
    [allowed] = policy["ingress"]
    assert [each["port"] for each in allowed["ports"]] == ["http", port["name"]]


@pytest.mark.parametrize(
    "values", [MATRIX["a silent collector"], MATRIX["servers collect"]], ids=["silent", "none"]
)
def test_nothing_asks_a_collector_that_does_not_listen(values: dict[str, Any]) -> None:
    """No probe, no port, no monitor."""
    manifests = render(values | {"metrics": {"serviceMonitor": {"enabled": True}}})
    assert "PodMonitor" not in [each["kind"] for each in manifests]
    for _, container in collectors(manifests):
        assert not {"ports", "livenessProbe"} & set(container)
    [policy] = [each["spec"] for each in manifests if each["kind"] == "NetworkPolicy"]
    assert [each["port"] for each in policy["ingress"][0]["ports"]] == ["http"]


def test_lint() -> None:
    """Helm's own has nothing to say that matters."""
    report = lint(CHART, strict=True)
    assert report["errors"] == []
    assert all(message["severity"] <= 1 for message in report["messages"])
