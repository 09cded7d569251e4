"""Values that cannot work fail at `helm template`, with a sentence; what may work is taken."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest
from helm_python.errors import HelmError

from tests.deploy.charts import CHART, EMBEDDED, OBJECTS, ROOT, render


def config(**sections: Any) -> dict[str, Any]:
    """Values that configure this."""
    return {"config": sections}


def hot(backend: str | None = "localfs", **options: Any) -> dict[str, Any]:
    """Values with this hot blob store."""
    tables = {"localfs": None, **({backend: options} if backend and options else {})}
    return config(blobs={"hot": {"backend": backend, **tables}})


def cold(**options: Any) -> dict[str, Any]:
    """Values with these options of the cold local files."""
    return config(blobs={"cold": {"localfs": options}})


def sqlite(data_dir: str | None = None, **options: Any) -> dict[str, Any]:
    """Values of the embedded store with these."""
    metadata = EMBEDDED["config"]["metadata"] | {"sqlite": options}
    more = {"data_dir": data_dir} if data_dir else {}
    return EMBEDDED | config(metadata=metadata, **more)


def mounted(values: dict[str, Any], path: str, **mount: Any) -> dict[str, Any]:
    """These values, with a volume of the deployment's own at a path."""
    volume = {"name": "own", **mount.pop("volume", {"persistentVolumeClaim": {"claimName": "c"}})}
    at = {"name": "own", "mountPath": path, **mount}
    return values | {"extraVolumes": [volume], "extraVolumeMounts": [at]}


def backup(**places: Any) -> dict[str, Any]:
    """Values with these places of backups."""
    return config(backup=places)


def local(root: str | None) -> dict[str, Any]:
    """Local files in a directory."""
    return {"backend": "localfs", "localfs": {"root": root}}


def monitored(**metrics: Any) -> dict[str, Any]:
    """Values with these options of the metrics, and Prometheus asking for them."""
    return config(metrics=metrics) | {"metrics": {"serviceMonitor": {"enabled": True}}}


def variable(name: str) -> dict[str, Any]:
    """Values with this in the environment."""
    return {"env": [{"name": name, "value": "x"}]}


HOT, COLD, DATA = (f"/var/lib/juststorage/{name}" for name in ("hot", "cold", "data"))

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
"""Values of other kinds."""

WRONG_PATHS: list[tuple[str, dict[str, Any], str]] = [
    ("contents that go with the pod", hot(root="/tmp/blobs"), "/tmp, which goes with the pod"),
    ("contents that go, by a detour", hot(root=f"{HOT}/../../../../tmp/x"), "goes with the pod"),
    ("contents beside the code", hot(root="/data/blobs"), "/data/blobs lies on no volume"),
    ("contents beside the volume", hot(root=f"{HOT}-2/blobs"), "lies on no volume"),
    ("contents nowhere certain", hot(root="blobs"), '"blobs" is no absolute path'),
    ("contents among secrets", hot(root="/etc/juststorage/x"), "which cannot be written"),
    ("hot contents on the cold volume", hot(root=f"{COLD}/hot"), "on the volume cold"),
    ("cold contents on the hot volume", cold(root=f"{HOT}/cold"), "on the volume hot"),
    ("contents in a data directory", hot(root=None), "blobs.hot.localfs.root"),
    (
        "hot and cold in one",
        mounted(config(blobs={"hot": local("/own/x"), "cold": local("/own/x/")}), "/own"),
        "config.blobs.cold.localfs.root and config.blobs.hot.localfs.root are both /own/x",
    ),
    (
        "a volume that goes with the pod",
        mounted(hot(root="/own/blobs"), "/own", volume={"emptyDir": {}}),
        "/own, which goes with the pod",
    ),
    (
        "a volume inside the volume",
        mounted(hot(root=f"{HOT}/blobs"), f"{HOT}/blobs", volume={"emptyDir": {}}),
        "goes with the pod",
    ),
    ("a volume to be read", mounted(hot(root="/own/x"), "/own", readOnly=True), "be written"),
    (
        "a file of a ConfigMap",
        mounted(hot(root="/own/x"), "/own", volume={"configMap": {"name": "x"}}),
        "be written",
    ),
    ("a database that goes with the pod", sqlite(path="/tmp/x.db"), "config.metadata.sqlite.path"),
    ("a database on a volume of contents", sqlite(path=f"{HOT}/x.db"), "on the volume hot"),
    ("a database nowhere certain", sqlite(path="x.db"), "no absolute path"),
    ("a database beside the code", sqlite(path="/data/x.db"), "/data/x.db lies on no volume"),
    ("a database that goes with its directory", sqlite("/tmp/d"), "config.data_dir: /tmp/d"),
    (
        "a database in place of contents",
        mounted(
            sqlite(path="/own/x")
            | config(
                metadata={"backend": "sqlite", "postgres": None, "sqlite": {"path": "/own/x"}},
                blobs={"hot": local("/own/x")},
            ),
            "/own",
        ),
        "are both /own/x",
    ),
    ("a data directory beside the code", config(data_dir="/data"), "config.data_dir: /data"),
    ("a data directory nowhere certain", config(data_dir="data"), "config.data_dir"),
    ("a backup on no volume", backup(contents=local("/backups/c")), "config.backup.contents"),
    ("a backup that goes with the pod", backup(manifests=local("/tmp/m")), "goes with the pod"),
    ("a backup in a directory that goes", backup(contents=local(None)), "goes with the pod"),
    (
        "a backup into itself",
        mounted(backup(contents=local("/own/b"), manifests=local("/own/b")), "/own"),
        "are both /own/b",
    ),
    ("a backup onto what it backs up", backup(contents=local(f"{HOT}/blobs")), "are both"),
]
"""Paths that lie where bytes are lost, or where nothing can be written."""

WRONG_CHOICES: list[tuple[str, dict[str, Any], str]] = [
    ("contents that are forgotten", hot("memory"), "config.blobs.hot.backend: memory forgets"),
    (
        "cold contents that are forgotten",
        config(blobs={"cold": {"backend": "memory", "localfs": None}}),
        "config.blobs.cold.backend: memory forgets",
    ),
    ("a backup that is forgotten", backup(contents={"backend": "memory"}), "memory forgets"),
    ("no place for contents", hot(None), "config.blobs.hot.backend is missing"),
    ("no metadata store", config(metadata={"backend": None}), "metadata.backend is missing"),
    ("a misspelt authenticator", config(auth={"chain": ["apikey"]}), 'authenticator "apikey"'),
    ("an authenticator twice", config(auth={"chain": ["api_key", "api_key"]}), "named twice"),
    ("tokens of nobody", config(auth={"chain": ["jwt"]}), "config.auth.jwt.issuer is missing"),
    ("readers of nothing", config(auth={"chain": ["anonymous"]}), "anonymous.tenants is missing"),
    ("an object store nowhere", hot("objectstore"), "blobs.hot.objectstore.url is missing"),
    ("a misspelt policy", config(gc={"policy": "foo"}), 'there is no GC policy "foo"'),
    ("a misspelt hasher", config(hasher={"backend": "sha-256"}), 'there is no hasher "sha-256"'),
    ("a misspelt backup", backup(contents={"backend": "nothing"}), 'blob store "nothing"'),
    ("options of nobody", config(auth={"apikey": {"cache_size": 1}}), "config.auth.apikey"),
    ("plugins without a backend's", config(plugins={"enabled": ["api", "localfs"]}), '"postgres"'),
    ("plugins without the server's", config(plugins={"enabled": ["localfs", "postgres"]}), '"api"'),
    ("a backend's plugin kept out", config(plugins={"disabled": ["localfs"]}), '"localfs"'),
    ("core's plugin kept out", config(plugins={"disabled": ["core"]}), '"core"'),
]
"""Backends that are not there, or lack what they need."""

WRONG_OPERATION: list[tuple[str, dict[str, Any], str]] = [
    ("traces to no URL", config(tracing={"endpoint": "collector:4318"}), "config.tracing.endpoint"),
    ("traces to no host", config(tracing={"endpoint": "http://:4318/v1"}), "tracing.endpoint"),
    ("traces with a password", config(tracing={"endpoint": "http://u:p@c/v1"}), "tracing.headers"),
    ("a server for itself", config(server={"host": "127.0.0.1"}), "config.server.host"),
    ("any port", config(server={"port": 0}), "config.server.port"),
    ("metrics that Prometheus may not see", monitored(require_auth=True), "metrics.require_auth"),
    ("metrics that are not told", monitored(enabled=False), "config.metrics.enabled"),
    (
        "more pods than most",
        OBJECTS | {"autoscaling": {"enabled": True, "minReplicas": 9, "maxReplicas": 2}},
        "autoscaling.minReplicas: 9 is more than autoscaling.maxReplicas, 2",
    ),
    (
        "nobody who collects",
        config(gc={"enabled": False}) | {"collector": {"enabled": False}},
        "config.gc.enabled",
    ),
    ("volumes by a variable", variable("JUSTSTORAGE__DATA_DIR"), "win over config.data_dir"),
    ("probes by a variable", variable("juststorage__server__port"), "win over config.server.port"),
    ("another file", variable("JUSTSTORAGE_CONFIG"), "env: JUSTSTORAGE_CONFIG"),
    (
        "another path of modules",
        variable("PYTHONPATH") | {"plugins": {"packages": ["x"]}},
        "env: PYTHONPATH",
    ),
    ("a mount without a path", {"extraVolumeMounts": [{"name": "x"}]}, "mountPath"),
]
"""What cannot be run, seen or reached."""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param(*row[1:], id=row[0])
        for row in (*WRONG, *WRONG_PATHS, *WRONG_CHOICES, *WRONG_OPERATION)
    ],
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


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(
            {"plugins": {"backends": ["ldap"]}, **config(auth={"chain": ["api_key", "ldap"]})},
            id="an authenticator",
        ),
        pytest.param(
            {"plugins": {"backends": ["lru"]}, **config(gc={"policy": "lru", "lru": {"a": 1}})},
            id="a policy",
        ),
        pytest.param(
            {
                "plugins": {"backends": ["blake3"], "packages": ["juststorage-blake3==1"]},
                **config(
                    hasher={"backend": "blake3"},
                    plugins={"enabled": ["api", "blake3", "localfs", "postgres"]},
                ),
            },
            id="a hasher",
        ),
        pytest.param(
            {"plugins": {"backends": ["tape"]}, **backup(contents={"backend": "tape"})},
            id="a place of backups",
        ),
    ],
)
def test_plugins_of_others(values: dict[str, Any]) -> None:
    """Every kind may be one that nobody knows here, by its name in `plugins.backends`."""
    assert render(values)
    with pytest.raises(HelmError, match=r"plugins\.backends"):
        render({**values, "plugins": {**values["plugins"], "backends": []}})


def test_options_may_come_as_variables() -> None:
    """One that a backend needs is not missed where the environment has it."""
    names = ("JUSTSTORAGE__AUTH__JWT__ISSUER", "JUSTSTORAGE__AUTH__JWT__AUDIENCE")
    env = [{"name": name, "value": '["x"]'} for name in names]
    assert render(config(auth={"chain": ["jwt"]}) | {"env": env})


def test_paths_on_volumes_are_let_through() -> None:
    """The volume itself, a directory in it, and a data directory of a pod that keeps none."""
    assert render(hot(root=HOT))
    assert render(hot(root=f"{HOT}//deep/er/"))
    assert render(config(data_dir="/tmp/scratch"))
    assert render(sqlite(f"{DATA}/x"))
    assert render(mounted(hot(root="/own"), "/own"))


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
