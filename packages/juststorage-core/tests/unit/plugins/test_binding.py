"""From a table of configuration to options: types, texts, secrets, places."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from juststorage.errors import Misconfigured
from juststorage.plugins import Secret
from juststorage.plugins._binding import bind, schema_hook


class Mode(enum.Enum):
    FAST = "fast"
    SAFE = "safe"


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: int = 3
    codes: list[int] = []


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Secret | None = None
    path: Path | None = None
    pool_size: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    verify: bool = True
    hosts: tuple[str, ...] = ()
    ports: frozenset[int] | None = None
    labels: dict[str, str] = {}
    mode: Mode = Mode.SAFE
    level: Literal["low", "high"] = "low"
    color: Literal["red"] | None = None
    retry: Retry = Retry()
    retries: list[Retry] = []


class Demanding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Secret


def failure(table: dict[str, Any], options: type[msgspec.Struct] = Options) -> str:
    """The one line that binding this table ends with."""
    with pytest.raises(Misconfigured) as caught:
        bind(options, table, place="metadata.x")
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_every_mistake_is_told() -> None:
    """Each wrong option has its own sentence, whatever else is wrong; none repeats a value."""

    class Pair(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
        token: Secret
        name: str

    table = {
        "pool_size": "hunter2",
        "pol_size": 3,
        "ports": "1,hunter2",
        "labels": {"a": 1},
        "mode": "hunter2",
        "retry": {"limit": "hunter2", "code": 1},
        "retries": [{"limit": 1}, {"limit": "hunter2"}],
        "verify": True,
        "name": "right",
    }
    with pytest.raises(Misconfigured) as caught:
        bind(Pair, table, place="x")
    assert caught.value.problems == (
        "x.pool_size: Expected int, got str",
        "x.pol_size: unknown option; did you mean 'pool_size'?",
        "x.ports[1]: Expected int, got str",
        "x.labels[...]: Expected str, got int",
        "x.mode: Expected one of fast, safe",
        "x.retry.limit: Expected int, got str",
        "x.retry.code: unknown option; did you mean 'codes'?",
        "x.retries[1].limit: Expected int, got str",
        "x.token: this option is required",
    )
    assert caught.value.detail == "; ".join(caught.value.problems)
    assert "hunter2" not in caught.value.detail


def test_what_only_the_whole_can_tell() -> None:
    """A rule between two options is told once each of them is right."""

    class Range(msgspec.Struct, frozen=True, kw_only=True):
        low: int = 0
        high: int = 9

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is over high")

    assert failure({"low": 10}, Range) == "metadata.x: low is over high"
    assert failure({"low": "x", "high": -1}, Range) == "metadata.x.low: Expected int, got str"
    assert bind(Range, {"others": 1}, place="x") == Range()
    assert failure({"low": "x", "others": 1}, Range) == "metadata.x.low: Expected int, got str"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"path": 7}, "metadata.x.path: Expected a path, got int"),
        ({"path": ""}, "metadata.x.path: Expected a path, got an empty string"),
        ({"pool_size": "many"}, "metadata.x.pool_size: Expected int, got str"),
        ({"pool_size": 0}, "metadata.x.pool_size: Expected int >= 1"),
        ({"verify": "perhaps"}, "metadata.x.verify: Expected bool, got str"),
        ({"pool_sizee": 1}, "metadata.x.pool_sizee: unknown option; did you mean 'pool_size'?"),
        (
            {"zzz": 1},
            "metadata.x.zzz: unknown option; there are url, path, pool_size, verify, hosts, ports,"
            " labels, mode, level, color, retry, retries",
        ),
        (
            {"retry": {"limits": 1}},
            "metadata.x.retry.limits: unknown option; did you mean 'limit'?",
        ),
        ({"retry": {"codes": [1, "x"]}}, "metadata.x.retry.codes[1]: Expected int, got str"),
        ({"retry": "often"}, "metadata.x.retry: Expected table, got str"),
        (
            {"retries": [{}, {"limits": 1}]},
            "metadata.x.retries[1].limits: unknown option; did you mean 'limit'?",
        ),
        ({"labels": {"a": [1]}}, "metadata.x.labels[...]: Expected str, got array"),
        ({"mode": "fats"}, "metadata.x.mode: Expected one of fast, safe"),
        ({"level": "medium"}, "metadata.x.level: Expected one of low, high"),
        ({"color": "blue"}, "metadata.x.color: Expected one of red"),
        ({"ports": "80,http"}, "metadata.x.ports[1]: Expected int, got str"),
        ({"ports": "[80"}, "metadata.x.ports: Expected array | null, got str"),
        ({"labels": "{nonsense"}, "metadata.x.labels: Expected table, got str"),
        ({"url": 5}, 'metadata.x.url: Expected str or {file = "..."}, got int'),
        (
            {"url": {"file": "a", "hunter2": 1}},
            'metadata.x.url: Expected str or {file = "..."}, got another table',
        ),
    ],
)
def test_error_names_the_option_and_never_the_value(table: dict[str, Any], message: str) -> None:
    """A value that does not fit is one line with the dotted place and without the value."""
    assert failure(table) == message


def test_missing_required_option_is_named() -> None:
    """An option without a default must be given."""
    assert failure({}, Demanding) == "metadata.x.url: this option is required"


def test_top_level_errors_have_no_leading_dot() -> None:
    """At the top of the tree the place is the option's name alone."""
    with pytest.raises(Misconfigured, match=r"^pool_size: Expected int, got str$"):
        bind(Options, {"pool_size": "x"}, place="")


def test_text_is_read_as_the_option_s_type() -> None:
    """What comes from the environment as text becomes numbers, booleans, lists and tables."""
    options = bind(
        Options,
        {
            "pool_size": "20",
            "verify": "false",
            "hosts": "a, b ,",
            "ports": "[80, 443]",
            "labels": '{"zone": "1"}',
            "mode": "fast",
            "path": "/x",
            "retry": {"limit": "5", "codes": "1,2"},
        },
        place="",
    )
    assert (options.pool_size, options.verify, options.path) == (20, False, Path("/x"))
    assert options.hosts == ("a", "b")
    assert options.ports == frozenset({80, 443})
    assert options.labels == {"zone": "1"}
    assert options.mode is Mode.FAST
    assert options.retry == Retry(limit=5, codes=[1, 2])


class TestSecrets:
    def test_secret_is_text_or_a_file(self, tmp_path: Path) -> None:
        """A secret comes as text, or as the content of a file without its last newline."""
        path = tmp_path / "secret"
        path.write_bytes(b"two\nlines\r\n")
        assert bind(Options, {"url": "x"}, place="").url == Secret("x")
        assert bind(Options, {"url": {"file": str(path)}}, place="").url == Secret("two\nlines")

    def test_unreadable_file_is_named(self, tmp_path: Path) -> None:
        """A secret file that cannot be read is an error that names it."""
        path = tmp_path / "none"
        assert failure({"url": {"file": str(path)}}) == (
            f"metadata.x.url: cannot read the secret file {str(path)!r}: No such file or directory"
        )

    @pytest.mark.parametrize(
        ("content", "end"),
        [(b"\xff\xfe", "is not UTF-8"), (b"x" * 65_537, "is over 65536 bytes")],
    )
    def test_file_that_is_no_secret_is_refused(
        self, tmp_path: Path, content: bytes, end: str
    ) -> None:
        """A binary or endless file is refused, without its content."""
        path = tmp_path / "secret"
        path.write_bytes(content)
        assert failure({"url": {"file": str(path)}}) == (
            f"metadata.x.url: the secret file {str(path)!r} {end}"
        )

    def test_bound_options_do_not_show_it(self) -> None:
        """Neither repr nor str of options or secret has the text; it compares and hashes by it."""
        options = bind(Options, {"url": "hunter2"}, place="")
        assert "hunter2" not in f"{options!r} {options.url} {options.url!r}"
        assert options.url is not None
        assert options.url.reveal() == "hunter2"
        assert len({Secret("a"), Secret("a"), Secret("b")}) == 2

    def test_secret_is_not_serialized(self) -> None:
        """Neither JSON nor pickle takes a secret along."""
        import pickle

        with pytest.raises(TypeError):
            msgspec.json.encode(Secret("x"))
        with pytest.raises(TypeError, match="not serialized"):
            pickle.dumps(Secret("x"))


def test_foreign_type_has_no_schema() -> None:
    """The schema hook refuses types that options cannot have."""
    with pytest.raises(NotImplementedError, match="complex is not an option type"):
        schema_hook(complex)


def test_foreign_type_cannot_be_bound() -> None:
    """A value for an option of an unknown type is an error, not a crash."""

    class Strange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        number: complex = 1j

    assert failure({"number": "1"}, Strange) == "metadata.x.number: complex is not an option type"
