"""The schema and the shown settings."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from juststorage.config import Config, options_schema, redacted, schema
from juststorage.plugins import MetadataStoreBackend, Secret
from juststorage.runtime import PluginHost


class Mode(enum.Enum):
    FAST = "fast"


class Pool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    size: int = 5
    key: Secret | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach it.

    More text.
    """

    url: Annotated[Secret, msgspec.Meta(description="Where it is")]
    token: Secret = Secret("built in")
    path: Path = Path("/var/x")
    mode: Mode = Mode.FAST
    hosts: tuple[str, ...] = ("a",)
    names: list[str] = []
    extra: int | msgspec.UnsetType = msgspec.UNSET
    pool: Pool = Pool()
    pools: list[Pool] = []
    keys: dict[str, Secret] = {}
    sizes: list[int] = []


MakePlugin = Callable[..., Sequence[object]]


@pytest.fixture
def host(as_plugin: MakePlugin) -> PluginHost:
    """A host with one metadata store, `pg`."""
    backend = MetadataStoreBackend(name="pg", summary="A server", options=Options, open=print)  # type: ignore[arg-type]
    plugin = as_plugin(juststorage_metadata_stores=[backend])
    made = PluginHost([plugin], discover=False, strict=False).load()
    assert made.warnings == ()
    return made


def config(pg: dict[str, Any], **tables: Any) -> Config:
    """A configuration with these tables."""
    tree = {"metadata": {"backend": "pg", "pg": pg, **tables}, "blobs": {"hot": {"backend": "m"}}}
    return Config.from_mapping(tree)


class TestRedacted:
    def test_secrets_are_hidden_at_every_depth(self, host: PluginHost) -> None:
        """What the options call a secret is hidden, as a value, as a default and nested."""
        shown = redacted(config({"url": "hunter2", "pool": {"key": "hunter2"}}), host)
        pg = shown["metadata"]["pg"]
        assert (pg["url"], pg["token"], pg["pool"]) == ("***", "***", {"key": "***", "size": 5})
        assert (pg["path"], pg["mode"], pg["hosts"]) == ("/var/x", "fast", ("a",))
        assert "hunter2" not in json.dumps(shown)

    def test_secrets_in_containers_are_hidden_with_the_container(self, host: PluginHost) -> None:
        """A list or table that may hold a secret is not shown at all; another one is."""
        shown = redacted(
            config(
                {
                    "url": "x",
                    "keys": {"a": "hunter2"},
                    "pools": [{"key": "hunter2"}],
                    "pool": "hunter2",
                    "sizes": [1],
                }
            ),
            host,
        )
        pg = shown["metadata"]["pg"]
        assert (pg["keys"], pg["pools"], pg["pool"], pg["sizes"]) == ("***", "***", "***", [1])

    def test_secret_file_is_named_and_not_read(self, host: PluginHost) -> None:
        """Where a secret is kept is shown; the file may be missing."""
        shown = redacted(config({"url": {"file": "/none"}}), host)
        assert shown["metadata"]["pg"]["url"] == {"file": "/none"}

    def test_what_is_not_understood_is_hidden(self, host: PluginHost) -> None:
        """A table of an unknown backend, or an unknown option, may hold a secret."""
        shown = redacted(config({"url": "x", "urll": "hunter2"}, mysql={"pw": "hunter2"}), host)
        assert shown["metadata"]["mysql"] == {"pw": "***"}
        assert shown["metadata"]["pg"]["urll"] == "***"
        odd = redacted(config({"url": {"files": "hunter2"}}), host)
        assert odd["metadata"]["pg"]["url"] == "***"

    def test_core_s_settings_are_shown_with_their_defaults(self, host: PluginHost) -> None:
        """What core knows is shown in the shape of the file."""
        shown = redacted(config({"url": "x"}), host)
        assert shown["server"]["port"] == 8080
        assert shown["data_dir"] == "juststorage-data"
        assert shown["blobs"]["cold"] == {"backend": None}


class TestSchema:
    def test_schema_is_valid_and_accepts_what_is_valid(self, host: PluginHost) -> None:
        """It is JSON Schema, and takes a good file and no bad one."""
        made = json.loads(json.dumps(schema(host)))
        Draft202012Validator.check_schema(made)
        validator = Draft202012Validator(made)
        good = {"metadata": {"backend": "pg", "pg": {"url": {"file": "/x"}, "path": "/y"}}}
        assert validator.is_valid(good)
        wrong: tuple[dict[str, Any], ...] = (
            {"metadata": {"backend": "mysql"}},
            {"metadata": {"pg": {}}},
            {"metadata": {"pg": {"url": "x", "urll": "x"}}},
            {"metadata": {"pg": {"url": {"fil": "x"}}}},
            {"server": {"port": -1}},
            {"auth": {"chain": ["nobody"]}},
            {"sever": {}},
        )
        for bad in wrong:
            assert not validator.is_valid(bad), bad

    def test_options_have_defaults_descriptions_and_no_secret(self) -> None:
        """Defaults that are not JSON appear as configuration spells them; secret ones do not."""
        made = options_schema(Options)
        fields = made["properties"]
        assert made["description"] == "How to reach it."
        assert made["required"] == ["url"]
        assert fields["url"]["description"] == "Where it is"
        assert fields["url"]["writeOnly"]
        assert fields["path"]["default"] == "/var/x"
        assert fields["mode"] == {"title": "Mode", "enum": ["fast"], "default": "fast"}
        assert "default" not in fields["token"]
        assert "default" not in fields["extra"]
        assert fields["pool"]["properties"]["size"]["default"] == 5
        assert "built in" not in json.dumps(made)
