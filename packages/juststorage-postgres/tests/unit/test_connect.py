"""How a connection is asked for, and how its place is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from juststorage.errors import Misconfigured
from juststorage.plugins import Secret
from juststorage_postgres._connect import connect_arguments, where
from juststorage_postgres._options import PostgresOptions, SslMode


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u:secret@h:5432/d", "the database at h:5432/d"),
        ("postgresql://u:se@cret@h/d?sslmode=require", "the database at h/d"),
        ("postgresql://h/d?password=secret", "the database at h/d"),
        ("postgresql://u:se/secret@h/d", "the configured database"),
        ("postgresql://u:se?secret@h/d", "the configured database"),
        ("postgresql://u:se#secret@h/d", "the configured database"),
        ("postgresql://h/d?password=a@secret", "the configured database"),
        ("postgresql:///d", "the configured database"),
        ("postgresql://u:secret@/d?host=/run/pg", "the database d at the socket in /run/pg"),
        ("postgresql:///d?host=secret", "the configured database"),
    ],
)
def test_the_place_is_told_without_secrets(url: str, told: str) -> None:
    """Server and database; where a password may have ended up among them, nothing."""
    assert where(PostgresOptions(url=Secret(url))) == told


def test_every_limit_is_the_servers_too() -> None:
    """The timeouts are set on the connection, in milliseconds, and the client waits longer."""
    options = PostgresOptions(
        url=Secret("postgresql://h/d"), statement_timeout_s=1.5, lock_timeout_s=9
    )
    arguments = connect_arguments(options)
    settings = arguments["server_settings"]
    assert settings["statement_timeout"] == "1500" == settings["lock_timeout"]
    assert settings["idle_in_transaction_session_timeout"] == "60000"
    assert arguments["command_timeout"] > 1.5


def test_behind_pgbouncer_nothing_stays_on_a_connection() -> None:
    """No prepared statements and no settings: the next statement may be on another connection."""
    options = PostgresOptions(url=Secret("postgresql://h/d"), pgbouncer=True)
    arguments = connect_arguments(options)
    assert arguments["statement_cache_size"] == 0 and "server_settings" not in arguments


@pytest.mark.parametrize(
    ("sslmode", "has_file", "query"),
    [
        (None, False, "a=1"),
        ("require", False, "a=1&sslmode=require"),
        (None, True, "a=1&sslmode=verify-full&sslrootcert={file}"),
        ("verify-ca", True, "a=1&sslmode=verify-ca&sslrootcert={file}"),
    ],
)
def test_tls(tmp_path: Path, sslmode: SslMode | None, has_file: bool, query: str) -> None:
    """The options go into the URL; a file of certificates alone means full verification."""
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    options = PostgresOptions(
        url=Secret("postgresql://h/d?a=1"),
        sslmode=sslmode,
        sslrootcert=str(file) if has_file else None,
    )
    expected = query.format(file=str(file).replace("/", "%2F"))
    assert connect_arguments(options)["dsn"] == f"postgresql://h/d?{expected}"


def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    """Said at the start, with the name of the option."""
    options = PostgresOptions(
        url=Secret("postgresql://h/d"), sslrootcert=str(tmp_path / "missing.pem")
    )
    with pytest.raises(Misconfigured, match="sslrootcert: there is no file"):
        connect_arguments(options)
