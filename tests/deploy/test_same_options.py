"""Every option of every plugin of ours means the same, whichever way it is told.

A configuration file, the environment, a program's mapping and values of the Helm chart: the options
are those that the plugins declare, so that one of a new plugin is in this test by itself.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from juststorage.config import Config, redacted
from juststorage.config._overlay import merged
from juststorage.errors import Misconfigured
from juststorage.plugins import Secret
from juststorage.plugins._binding import bind, field_types, parts_of
from juststorage.runtime import PluginHost

OURS = ("api", "core", "localfs", "memory", "objectstore", "postgres", "sqlite")
PLACES = {
    "metadata": "metadata_store",
    "blobs.hot": "blob_store",
    "blobs.cold": "blob_store",
    "backup.contents": "blob_store",
    "backup.manifests": "blob_store",
    "hasher": "hasher",
    "gc": "gc_policy",
    "auth": "authenticator",
}
SCHEMA = Path(__file__).parents[2] / "deploy/helm/juststorage/values.schema.json"
PLANTED = "planted-secret-of-thirty-two-letters"
HOST = PluginHost(enabled=OURS).load()
# The first that an option takes, and that is not its default, is what it is set to.
CANDIDATES: tuple[Any, ...] = (
    *(True, False, 1, 3, 100, 5_000, 20_000_000, 0.5, "1h", "/x", "x", "s3://bucket/x"),
    *(["x"], ["10.0.0.0/8"], ["a.example"], {"x": "y"}, "https://a.example/x", [1]),
    *("require", ["ES256"], {"x": ["objects:read"]}),
)


class Option(NamedTuple):
    """One option of one backend, where it can be set."""

    place: str
    backend: str
    name: str
    struct: type[msgspec.Struct]

    @property
    def path(self) -> tuple[str, ...]:
        return (*self.place.split("."), self.backend, self.name)

    @property
    def secret(self) -> bool:
        return Secret in parts_of(field_types(self.struct)[self.name])


def options() -> Iterator[Option]:
    """Of every plugin, at every place that may choose it."""
    for place, kind in PLACES.items():
        for backend, usable in HOST.backends(kind).items():
            for field in msgspec.structs.fields(usable.item.options):
                yield Option(place, backend, field.encode_name, usable.item.options)


OPTIONS = list(options())


def value_of(option: Option) -> Any:
    """One that it takes, and that is not what it is without being set."""
    if option.secret:
        return PLANTED
    for value in CANDIDATES:
        found = fitting(option, value)
        if found is not None:
            return found
    return pytest.fail(f"{option.path}: none of the candidates fits it: add one that does")


def fitting(option: Option, value: Any) -> Any:
    """The value where the option takes it and it is another than the default, else None."""
    field = next(f for f in msgspec.structs.fields(option.struct) if f.encode_name == option.name)
    kind = field_types(option.struct)[option.name]
    try:
        taken = msgspec.convert(value, kind, dec_hook=lambda kind, given: kind(given))
    except (msgspec.ValidationError, TypeError, ValueError):
        return None
    return None if taken == field.default else value


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A tree with one leaf."""
    for part in reversed(path):
        value = {part: value}
    tree: dict[str, Any] = value
    return tree


def told(config: Config, option: Option) -> Any:
    """What the option is bound to, its siblings left alone."""
    table = config.sections()[option.place].table(option.backend)
    kind = field_types(option.struct)[option.name]
    one = msgspec.defstruct("One", [(option.name, kind)], forbid_unknown_fields=True)
    return getattr(bind(one, table, place=".".join(option.path[:-1])), option.name)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: ".".join(option.path))
def test_every_way_of_setting_an_option_means_the_same(option: Option, tmp_path: Path) -> None:
    """A file, a variable and a mapping are bound to one value, and no secret is shown."""
    value = value_of(option)
    base = {"metadata": {"backend": "memory"}, "blobs": {"hot": {"backend": "memory"}}}
    tree = nested(option.path, value)
    file = tmp_path / "juststorage.toml"
    dotted = ".".join(option.path)
    file.write_text(
        'metadata.backend = "memory"\nblobs.hot.backend = "memory"\n' + toml(dotted, value)
    )
    text = value if isinstance(value, str) else json.dumps(value)
    variables = {
        "JUSTSTORAGE__METADATA__BACKEND": "memory",
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "memory",
        "JUSTSTORAGE__" + "__".join(option.path).upper(): text,
    }
    by_mapping = Config.from_mapping(merged(base, tree))
    by_file = Config.load(file, environment={})
    by_variable = Config.load(None, environment=variables)
    found = [told(each, option) for each in (by_mapping, by_file, by_variable)]
    assert found[0] == found[1] == found[2]
    if option.secret:
        assert found[0].reveal() == PLANTED
        assert PLANTED not in repr(found)
        for each in (by_mapping, by_file, by_variable):
            assert PLANTED not in json.dumps(redacted(each, HOST))


def toml(dotted: str, value: Any) -> str:
    """A line of it."""
    if isinstance(value, dict):
        return "".join(f"{dotted}.{name} = {json.dumps(each)}\n" for name, each in value.items())
    line = f"{dotted} = {json.dumps(value)}\n"
    assert tomllib.loads(line)
    return line


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: ".".join(option.path))
def test_the_chart_has_the_option(option: Option) -> None:
    """Its values take every option but secrets, which come by reference alone."""
    node = json.loads(SCHEMA.read_text())["properties"]["config"]
    *above, name = option.path
    for part in above:
        node = node["properties"].get(part)
        if node is None:
            assert option.backend in HOST.backends(PLACES[option.place])
            assert option.backend == "memory", "the image has all others"
            return
    assert (name in node["properties"]) is not option.secret


def test_an_option_of_another_name_is_heard() -> None:
    """The comparison can fail: what is not the option does not bind."""
    option = OPTIONS[0]
    tree = {
        "metadata": {"backend": "memory"},
        "blobs": {"hot": {"backend": "memory"}},
    }
    with pytest.raises(Misconfigured):
        told(Config.from_mapping(tree | nested((*option.path[:-1], "nothing"), 1)), option)
