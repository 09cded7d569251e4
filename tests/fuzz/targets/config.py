"""Configuration: files of TOML, and variables, which are whatever bytes the environment has."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

from juststorage.config import Config
from juststorage.errors import Misconfigured
from juststorage.plugins._binding import bind
from juststorage_api._auth._jwt_options import JwtOptions
from juststorage_api._auth._trusted_header import TrustedHeaderOptions
from juststorage_localfs.plugin import LocalFSOptions
from juststorage_sqlite.plugin import SqliteOptions
from tests.fuzz.fuzzing import Read, Target
from tests.fuzz.inputs import bytes_near

__all__ = ["TARGETS"]

_TABLES = {
    "jwt": JwtOptions,
    "trusted_header": TrustedHeaderOptions,
    "localfs": LocalFSOptions,
    "sqlite": SqliteOptions,
}


def _is_refusal(error: Exception) -> bool:
    """One sentence or more, each of which can be printed."""
    return isinstance(error, Misconfigured) and all(each.encode() for each in error.problems)


def _looked_at(config: Config) -> None:
    """What a start does next: show it, and bind the tables of plugins."""
    assert repr(config)
    for section in config.sections().values():
        for name, table in section.tables.items():
            if name in _TABLES:
                bind(_TABLES[name], table, place=name)


@contextmanager
def _file_opened() -> Iterator[Read]:
    with tempfile.TemporaryDirectory(prefix="juststorage-fuzz-") as folder:
        path = Path(folder) / "juststorage.toml"

        def read(value: bytes) -> str | None:
            path.write_bytes(value)
            Config.load_log(path, environment={})
            _looked_at(Config.load(path, environment={}))
            Config.load_gate(path, environment={})
            return None

        yield read


_GOOD = [
    b'data_dir = "/var/x"\n[metadata]\nbackend = "sqlite"\n[metadata.sqlite]\npath = "x"\n'
    b'[blobs.hot]\nbackend = "localfs"\nlocalfs = {root = "x"}\n[gc]\ninterval_s = 1.5\n',
    b'[auth]\nchain = ["jwt"]\n[auth.jwt]\nissuer = "i"\naudience = ["a"]\nsecret = "s"\n'
    b'[auth.jwt.scope_map]\nreader = ["objects:read"]\n[metadata]\nbackend = "m"\n'
    b'[blobs]\nhot.backend = "m"\n',
    b'[auth.trusted_header]\npeers = ["10.0.0.0/8"]\n[log]\nlevel = "debug"\n[server]\nport = 1\n',
]
_WORDS = [
    *(
        b"[",
        b"]",
        b"[[",
        b"{",
        b"}",
        b'"',
        b"'",
        b'"""',
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"=",
        b".",
        b",",
    ),
    *(b"\n", b"#", b"nan", b"-inf", b"1e999", b"0x1", b"1_0", b"true", b"9" * 5000, b"-1", b"''"),
    *(
        b"a.",
        b"a=[",
        b"1979-05-27T07:32:00Z",
        b"24:00:00",
        b"\xff",
        b"\0",
        b'"*" = 1',
        b"secret = {",
    ),
    *(b'file = "x\\u0000"', b"[plugins]\n", b"[uploads]\n", b"lease_s = ", b"limits = 1\n", b"$"),
]

_VALUES = bytes_near(
    [b"sqlite", b"1.5", b"true", b'["api_key", "jwt"]', b"a, b", b'{"a": ["b"]}', b"x" * 300, b""],
    [b"[", b"]", b"{", b'"', b",", b" ", b"nan", b"inf", b"1e999", b"-", b"\xff", b"\xc3", b"0x",
     b"9" * 5000, b"\\ud800", b"null", b"1", b".", b"_", b"\n"],
)  # fmt: skip
_NAMES = bytes_near(
    [b"METADATA__BACKEND", b"METADATA__SQLITE__PATH", b"BLOBS__HOT__BACKEND", b"GC__INTERVAL_S",
     b"AUTH__CHAIN", b"AUTH__JWT__AUDIENCE", b"AUTH__JWT__SCOPE_MAP", b"SERVER__PORT",
     b"LOG__LEVEL",
     b"METRICS__ENABLED", b"PLUGINS__DISABLED", b"ALLOW_EPHEMERAL", b"DATA_DIR", b"LIMITS"],
    [b"__", b"_", b"A", b"A__", b"METADATA", b"\xff", b".", b"*", b"1", "\ufb06".encode()],
)  # fmt: skip


def _variables(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """As `os.environ` has them: what is no UTF-8 is escaped."""
    return {
        "JUSTSTORAGE__" + name.decode(errors="surrogateescape"): (
            value.replace(b"\0", b"").decode(errors="surrogateescape")
        )
        for name, value in pairs
    }


def read_variables(value: list[tuple[bytes, bytes]]) -> str | None:
    """The same configuration, from variables."""
    environment = _variables(value)
    Config.load_log(environment=environment)
    _looked_at(Config.load(environment=environment))
    Config.load_gate(environment=environment)
    return None


TARGETS = {
    # tomllib takes a minute for a key of 20,000 parts. Whoever writes that file may wait for it.
    "config": Target(bytes_near(_GOOD, _WORDS, 2000), is_refusal=_is_refusal, opened=_file_opened),
    "variables": Target(
        st.lists(st.tuples(_NAMES, _VALUES), min_size=1, max_size=4),
        read_variables,
        is_refusal=_is_refusal,
    ),
}
