"""Where settings come from, which source wins, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from juststorage import config as public
from juststorage.config import Config
from juststorage.config._sections import Section, TopLevel
from juststorage.errors import Misconfigured
from juststorage.plugins._binding import field_types, struct_in

BACKENDS = {
    "JUSTSTORAGE__METADATA__BACKEND": "memory",
    "JUSTSTORAGE__BLOBS__HOT__BACKEND": "memory",
}
FILE = """
data_dir = "/srv/juststorage"
[metadata]
backend = "postgres"
[metadata.postgres]
url = { file = "/run/secrets/url" }
pool_size = 20
[metadata.sqlite]
path = "/elsewhere"
[blobs.hot]
backend = "localfs"
[server]
port = 9000
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file."""
    path = tmp_path / "juststorage.toml"
    path.write_text(FILE)
    return path


def failure(environment: dict[str, str], **how: Any) -> str:
    """What loading from this environment ends with."""
    with pytest.raises(Misconfigured) as caught:
        Config.load(environment=environment, **how)
    return str(caught.value)


class TestEmbeddedDefault:
    def test_nothing_configured_is_the_embedded_default(self) -> None:
        """Without a file and without backends in the environment everything is embedded."""
        config = Config.load(environment={"JUSTSTORAGE__SERVER__PORT": "0", "HOME": "/x"})
        assert config.embedded_default
        assert config.metadata.backend == "sqlite"
        assert (config.blobs.hot.backend, config.blobs.cold.backend) == ("localfs", "localfs")
        assert config.server.host == "127.0.0.1"
        assert config.data_dir == Path("juststorage-data")

    @pytest.mark.parametrize(
        "variable",
        ["JUSTSTORAGE__METADATA__SQLITE__PATH", "JUSTSTORAGE__BLOBS__COLD__BACKEND"],
    )
    def test_any_variable_about_backends_ends_the_default(self, variable: str) -> None:
        """Whoever says something about backends says which."""
        assert failure({variable: "x"}) == (
            "metadata.backend is not set: name a metadata store, such as 'sqlite',"
            " there or in JUSTSTORAGE__METADATA__BACKEND;"
            " blobs.hot.backend is not set: name a blob store, such as 'localfs',"
            " there or in JUSTSTORAGE__BLOBS__HOT__BACKEND"
        )

    def test_hot_backend_must_be_named(self) -> None:
        """The error names the key and its variable."""
        assert failure({"JUSTSTORAGE__METADATA__BACKEND": "memory"}) == (
            "blobs.hot.backend is not set: name a blob store, such as 'localfs',"
            " there or in JUSTSTORAGE__BLOBS__HOT__BACKEND"
        )

    def test_empty_backend_counts_as_not_set(self) -> None:
        """An empty variable names nothing."""
        assert failure({**BACKENDS, "JUSTSTORAGE__METADATA__BACKEND": ""}).startswith(
            "metadata.backend is not set"
        )

    def test_file_ends_the_default(self, tmp_path: Path) -> None:
        """An empty file is a configuration too."""
        path = tmp_path / "empty.toml"
        path.touch()
        assert failure({}, file=path).startswith("metadata.backend is not set")

    def test_overrides_about_backends_end_the_default(self) -> None:
        """A program that names a backend configures, too; one that names a directory does not."""
        assert failure({}, overrides={"metadata": {"backend": "x"}}).startswith("blobs.hot.backend")
        assert Config.load(environment={}, overrides={"data_dir": "/x"}).embedded_default

    def test_mapping_is_never_the_default(self) -> None:
        """A program that passes a mapping must name the backends in it."""
        with pytest.raises(Misconfigured, match=r"^metadata\.backend is not set"):
            Config.from_mapping({})
        tree = {"metadata": {"backend": "m"}, "blobs": {"hot": {"backend": "m"}}}
        config = Config.from_mapping(tree)
        assert not config.embedded_default
        assert config.blobs.cold.backend is None


class TestPrecedence:
    def test_file_is_read(self, file: Path) -> None:
        """Values of the file replace the defaults; tables of unselected backends may be there."""
        config = Config.load(file, environment={})
        assert (config.server.port, config.data_dir) == (9000, Path("/srv/juststorage"))
        assert config.metadata.table("postgres") == {
            "url": {"file": "/run/secrets/url"},
            "pool_size": 20,
        }
        assert config.metadata.table("sqlite") == {"path": "/elsewhere"}
        assert config.metadata.table("other") == {}
        assert (config.file, config.embedded_default) == (file, False)

    def test_environment_wins_over_the_file(self, file: Path) -> None:
        """A variable replaces one value and leaves its neighbours; names are case-insensitive."""
        config = Config.load(
            environment={
                "JUSTSTORAGE_CONFIG": str(file),
                "JUSTSTORAGE__METADATA__POSTGRES__POOL_SIZE": "7",
                "juststorage__Server__Port": "1",
            }
        )
        assert config.metadata.table("postgres") == {
            "url": {"file": "/run/secrets/url"},
            "pool_size": "7",
        }
        assert config.server.port == 1

    def test_overrides_win_over_the_environment(self, file: Path) -> None:
        """What the program passes wins over everything."""
        config = Config.load(
            file,
            environment={"JUSTSTORAGE__SERVER__PORT": "1"},
            overrides={"server": {"port": 2}},
        )
        assert config.server.port == 2

    def test_named_file_wins_over_the_variable(self, file: Path) -> None:
        """--config is stronger than JUSTSTORAGE_CONFIG."""
        config = Config.load(file, environment={"JUSTSTORAGE_CONFIG": "/none"})
        assert config.file == file

    def test_secret_text_replaces_a_secret_file(self, file: Path) -> None:
        """A plain value in the environment replaces a table in the file, and the other way."""
        name = "JUSTSTORAGE__METADATA__POSTGRES__URL"
        config = Config.load(file, environment={name: "x"})
        assert config.metadata.table("postgres")["url"] == "x"
        config = Config.load(file, environment={f"{name}__FILE": "/b"})
        assert config.metadata.table("postgres")["url"] == {"file": "/b"}

    def test_lists_come_as_json_or_between_commas(self) -> None:
        """A list in a variable is JSON or comma separated."""
        for text in ("api_key,jwt", '["api_key", "jwt"]'):
            config = Config.load(environment={**BACKENDS, "JUSTSTORAGE__AUTH__CHAIN": text})
            assert config.auth.chain == ("api_key", "jwt")

    def test_single_underscores_are_not_ours(self) -> None:
        """Variables such as those that Kubernetes makes for services are not settings."""
        Config.load(environment={"JUSTSTORAGE_PORT_8080_TCP": "tcp://x", "JUSTSTORAGE_X": "y"})


class TestRefusals:
    @pytest.mark.parametrize(
        ("environment", "message"),
        [
            (
                {"JUSTSTORAGE__SERVER__PROT": "1"},
                "server.prot: unknown option; did you mean 'port'?",
            ),
            (
                {"JUSTSTORAGE__METDATA__BACKEND": "x"},
                "metdata: unknown option; did you mean 'metadata'?",
            ),
            ({"JUSTSTORAGE__SERVER__PORT": "99999"}, "server.port: Expected int <= 65535"),
            ({"JUSTSTORAGE__SERVER__PORT": "http"}, "server.port: Expected int, got str"),
            ({"JUSTSTORAGE__SERVER": "x"}, "server: Expected table, got str"),
            (
                {"JUSTSTORAGE__UPLOADS__SMALL_BYTES": "1048577"},
                "uploads.small_bytes: Expected int <= 1048576",
            ),
            (
                {"JUSTSTORAGE__LOG__LEVEL": "loud"},
                "log.level: Expected one of debug, info, warning, error",
            ),
            (
                {"JUSTSTORAGE__METADATA__BACKEMD": "x", "JUSTSTORAGE__BLOBS__HOT__BACKEND": "m"},
                "metadata.backemd: unknown option; did you mean 'backend'?",
            ),
            (
                {"JUSTSTORAGE__SERVER___PORT": "1"},
                "the environment variable JUSTSTORAGE__SERVER___PORT names no setting: expected"
                " JUSTSTORAGE__SECTION__OPTION with two underscores between the parts",
            ),
            (
                {"JUSTSTORAGE__SERVER__\udcff": "1"},
                "the environment variable JUSTSTORAGE__SERVER__\\udcff names no setting: expected"
                " JUSTSTORAGE__SECTION__OPTION with two underscores between the parts",
            ),
            (
                {"JUSTSTORAGE__SERVER__PORT": "\udcff"},
                "the environment variable JUSTSTORAGE__SERVER__PORT is not UTF-8",
            ),
            (
                {"JUSTSTORAGE__AUTH__CHAIN": "[" * 100_000},
                "auth.chain: Expected array, got str",
            ),
            (
                {"JUSTSTORAGE__": "1"},
                "the environment variable JUSTSTORAGE__ names no setting: expected"
                " JUSTSTORAGE__SECTION__OPTION with two underscores between the parts",
            ),
            (
                {"JUSTSTORAGE__LOG__LEVEL": "info", "JUSTSTORAGE__LOG__LEVEL__FILE": "2"},
                "set only one of JUSTSTORAGE__LOG__LEVEL and JUSTSTORAGE__LOG__LEVEL__FILE:"
                " they contradict",
            ),
            (
                {"JUSTSTORAGE__DATA_DIR": "1", "juststorage__data_dir": "2"},
                "set only one of JUSTSTORAGE__DATA_DIR and juststorage__data_dir: they contradict",
            ),
        ],
    )
    def test_wrong_setting_is_one_line(self, environment: dict[str, str], message: str) -> None:
        """What is unknown, out of bounds or contradictory is refused by name."""
        assert failure(environment) == message

    def test_all_wrong_settings_are_told_at_once(self, tmp_path: Path) -> None:
        """Whoever starts a service mends everything in one go: a sentence for each mistake."""
        path = tmp_path / "juststorage.toml"
        path.write_text(
            "data_dri = 'x'\n"
            "[server]\nport = 'eighty'\nworkers = -1\n"
            "[uploads]\nlease_s = 1\n"
            "[auth]\nchain = [1]\n"
            "[gc]\nbatch = 3\n"
            "[metadata]\nbackend = 'memory'\n"
        )
        environment = {"JUSTSTORAGE__SERVER___HOST": "x", "JUSTSTORAGE__LOG__LEVEL": "loud"}
        with pytest.raises(Misconfigured) as caught:
            Config.load(path, environment=environment)
        problems = caught.value.problems
        assert [problem.partition(" ")[0] for problem in problems] == [
            "the",  # environment variable ...
            "data_dri:",
            "server.port:",
            "server.workers:",
            "uploads.lease_s:",
            "auth.chain[0]:",
            "gc.batch:",
            "log.level:",
            "blobs.hot.backend",
        ]
        assert caught.value.detail == "; ".join(problems)

    def test_what_is_right_is_there_to_be_checked_further(self) -> None:
        """What is wrong is left out, and the rest is a configuration."""
        config, problems = Config.examine(
            environment={"JUSTSTORAGE__SERVER__PORT": "x", "JUSTSTORAGE__SERVER__WORKERS": "3"}
        )
        assert (config.server.port, config.server.workers) == (8080, 3)
        assert problems == ["server.port: Expected int, got str"]

    @pytest.mark.parametrize("section", ["metadata", "blobs", "blobs__hot"])
    def test_a_section_that_is_wrong_is_told_once(self, section: str) -> None:
        """That it lacks its backend follows from that, and is not worth a sentence."""
        environment = {**BACKENDS, f"JUSTSTORAGE__{section.upper()}": "x"}
        environment = {
            name: value
            for name, value in environment.items()
            if not name.startswith(f"JUSTSTORAGE__{section.upper()}__")
        }
        place = section.replace("__", ".")
        assert failure(environment) == f"{place}: Expected table, got str"

    def test_unreadable_file_is_named(self, tmp_path: Path) -> None:
        """A file that is missing or not TOML is an error with its path."""
        path = tmp_path / "none.toml"
        assert failure({}, file=path) == (
            f"cannot read the configuration file {str(path)!r}: No such file or directory"
        )
        path.write_text("port 80")
        assert failure({}, file=path).startswith(
            f"the configuration file {str(path)!r} is not TOML: Expected '='"
        )
        path.write_bytes(b"\xff")
        assert "is not TOML" in failure({}, file=path)
        path.write_text(f"port = {'1' * 5000}")
        assert "is not TOML" in failure({}, file=path)
        path.write_text(f"port = {'[' * 5000}")
        assert failure({}, file=path).endswith("is nested too deep")

    @pytest.mark.parametrize("name", ["tables", "*"])
    def test_own_field_cannot_be_set_from_outside(self, name: str) -> None:
        """How tables are kept inside is no option."""
        tree = {"metadata": {"backend": "m", name: 1}}
        with pytest.raises(Misconfigured, match=r"unknown option|no name of an option"):
            Config.from_mapping(tree)

    @pytest.mark.parametrize("name", ["embedded_default", "file", "data_dir_option"])
    def test_what_a_config_says_about_itself_is_no_setting(self, name: str) -> None:
        """Nobody can claim to be the embedded default."""
        with pytest.raises(Misconfigured, match=rf"^{name}: unknown option"):
            Config.from_mapping({name: True})


def test_repr_does_not_show_tables() -> None:
    """Printing a configuration shows the names of tables and nothing in them."""
    environment = {**BACKENDS, "JUSTSTORAGE__METADATA__POSTGRES__URL": "hunter2"}
    config = Config.load(environment=environment)
    assert "hunter2" not in f"{config!r} {config} {config.metadata}"
    assert "tables=['postgres']" in repr(config)


def test_every_option_has_a_description() -> None:
    """An option without a description could not be documented."""

    def undescribed(struct: type[msgspec.Struct], place: str) -> list[str]:
        found = []
        for name, kind in field_types(struct).items():
            inner = struct_in(kind)
            if inner is not None:
                found += undescribed(inner, f"{place}{name}.")
            elif name != "*" and not any(
                getattr(each, "description", None) for each in getattr(kind, "__metadata__", ())
            ):
                found.append(place + name)
        return found

    assert undescribed(TopLevel, "") == []


def test_sections_are_all_there() -> None:
    """`sections` has every section that selects plugins."""
    config = Config.load(environment={})

    def places(value: msgspec.Struct, place: str) -> list[str]:
        found = [place] if isinstance(value, Section) else []
        for name in value.__struct_fields__:
            inner = getattr(value, name)
            if isinstance(inner, msgspec.Struct):
                found += places(inner, f"{place}.{name}".lstrip("."))
        return found

    assert sorted(config.sections()) == sorted(places(config, ""))
    assert config.auth.chosen == ("api_key",)
    assert config.gc.chosen == ("age",)
    assert (
        Config.from_mapping(
            {"metadata": {"backend": "m"}, "blobs": {"hot": {"backend": "m"}}}
        ).blobs.cold.chosen
        == ()
    )


def test_a_command_line_on_the_same_configuration(tmp_path: Path) -> None:
    """Names file and directory as they were given, ready to be pasted; else it has no options."""
    file = tmp_path / "a b.toml"
    file.write_text('metadata.backend = "m"\nblobs.hot.backend = "m"\n')
    plain = Config.load(environment={})
    assert plain.command("juststorage serve") == "juststorage serve"
    both = Config.load(environment={"JUSTSTORAGE_CONFIG": str(file)}, overrides={"data_dir": "d"})
    assert both.command("juststorage fsck") == f"juststorage fsck --config '{file}' --data-dir d"


def test_public_names_are_what_the_package_exports() -> None:
    """`__all__` is what can be imported, and nothing private is in it."""
    assert all(hasattr(public, name) and not name.startswith("_") for name in public.__all__)
