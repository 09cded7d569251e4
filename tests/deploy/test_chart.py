"""The Helm chart: rendered without a cluster, checked against Kubernetes' own schemas.

The configuration that it renders is given to `juststorage config check`, so that a pod never starts
with a wrong setting that the chart let through.

Longer than most: the matrix of values is what all of these tests render.
"""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from click.testing import CliRunner
from helm_python.chart import Chart, lint
from helm_python.errors import HelmError

from juststorage.cli._main import juststorage
from tests.deploy.custom import CUSTOM, problems

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "juststorage"
KUBERNETES = "1.37"

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

AUTHORITIES = {"name": "authorities", "secret": {"secretName": "authorities"}}
AT_AUTHORITIES = {"name": "authorities", "mountPath": "/etc/authorities", "readOnly": True}

MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "object store": OBJECTS | {"replicas": 3},
    "object store, scaled": OBJECTS | {"autoscaling": {"enabled": True}},
    "embedded": EMBEDDED,
    "servers collect": OBJECTS | {"collector": {"enabled": False}},
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


def collectors(manifests: list[dict[str, Any]]) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """The containers that collect, each with the labels of its pod."""
    templates = [m["spec"]["template"] for m in manifests if "template" in m.get("spec", {})]
    return [
        (template["metadata"]["labels"], container)
        for template in templates
        for container in template["spec"]["containers"]
        if container["name"] == "collector"
    ]


def kinds(manifests: list[dict[str, Any]]) -> list[str]:
    """What there is, with names."""
    return sorted(f"{each['kind']} {each['metadata']['name']}" for each in manifests)


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


def test_the_service_takes_the_configuration(
    manifests: list[dict[str, Any]], tmp_path: Path
) -> None:
    """`juststorage config check` accepts it, once the secrets are where the pod has them."""
    for manifest in manifests:
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


def only(kind: str, manifests: list[dict[str, Any]], name: str = "") -> Any:
    """The one manifest of a kind, or of a name too."""
    [found] = [
        each
        for each in manifests
        if each["kind"] == kind and each["metadata"]["name"].endswith(name)
    ]
    return found


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


def test_packages_are_there_before_what_needs_them() -> None:
    """Each kind of pod installs them first, and finds them where they were put."""
    pods = pod_specs(render(MATRIX["everything else"]))
    assert len(pods) == 3
    for name, spec in pods:
        [installer] = spec["initContainers"]
        assert installer["args"] == ["--no-deps", "juststorage-blake3==1"]
        target = installer["command"][-1]
        for container in spec["containers"]:
            assert {"name": "PYTHONPATH", "value": target} in container["env"], name
            assert target in [each["mountPath"] for each in container["volumeMounts"]], name


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


@pytest.mark.parametrize(("values", "words"), [pytest.param(*row[1:], id=row[0]) for row in WRONG])
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


def test_lint() -> None:
    """Helm's own has nothing to say that matters."""
    report = lint(CHART, strict=True)
    assert report["errors"] == []
    assert all(message["severity"] <= 1 for message in report["messages"])


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
