"""What a deployment gets wrong: one line that says what to do, exit code 2, and no secret in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner

from juststorage.cli._main import juststorage
from juststorage_postgres.testing import LocalServer, own_server, run_sql

URL = "JUSTSTORAGE__METADATA__POSTGRES__URL"
WAIT = "JUSTSTORAGE__METADATA__POSTGRES__CONNECT_WAIT_S"
UNSAFE = "JUSTSTORAGE__METADATA__POSTGRES__ALLOW_UNSAFE_SETTINGS"
PASSWORD = "correct-horse"


def status(environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and standard error of `juststorage migrate status`."""
    result = CliRunner().invoke(juststorage, ["migrate", "status"], env=dict(environment))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stderr


def refused_by_both(serve: Any, environment: dict[str, str], words: str) -> None:
    """`serve` and `migrate status` end with code 2 and one line with these words."""
    told = serve.refusal(environment=environment)
    code, error = status(environment)
    assert (code, error.count("\n")) == (2, 1), error
    for line in (told, error):
        assert words in line
        assert PASSWORD not in line
        assert "Traceback" not in line


@pytest.fixture
def role(url: str) -> Iterator[str]:
    """A user without any right, who must give a password."""
    name = f"app_{secrets.token_hex(4)}"
    run_sql(
        url,
        "DO $$ BEGIN CREATE ROLE needs_password; EXCEPTION WHEN duplicate_object THEN END $$",
        f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' IN ROLE needs_password",
    )
    yield name
    run_sql(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def as_role(url: str, role: str, password: str = PASSWORD) -> str:
    """The URL for another user."""
    return url.replace("postgres@", f"{role}:{password}@")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (f"mysql://u:{PASSWORD}@h/d", "must begin with postgresql://"),
        (f"postgresql://u:{PASSWORD}@h:port/d", "the database url"),
        (f"postgresql://u:{PASSWORD}@127.0.0.1:1/d", "the database at 127.0.0.1:1/d"),
        (f"postgresql://u:{PASSWORD}@no.such.host.invalid/d", "no.such.host.invalid/d"),
        (f"postgresql://u:{PASSWORD}@/d?host=/nowhere", "the socket in /nowhere"),
        ("", "url"),
    ],
)
def test_a_wrong_url(serve: Any, environment: dict[str, str], wrong: str, words: str) -> None:
    """The place is named, the user and the password are not."""
    refused_by_both(serve, {**environment, URL: wrong, WAIT: "0"}, words)


@pytest.mark.parametrize("words", [("config", "check"), ("doctor",)], ids=lambda w: w[0])
def test_a_url_of_another_database(environment: dict[str, str], words: tuple[str, ...]) -> None:
    """Told by whoever checks the configuration, before anything is opened."""
    wrong = {**environment, URL: f"mysql://u:{PASSWORD}@h/d"}
    told = CliRunner().invoke(juststorage, list(words), env=wrong)
    assert told.exit_code == 2
    assert "metadata.postgres.url: the database url must begin with postgresql://" in told.output
    assert PASSWORD not in told.output


def test_a_wrong_password(serve: Any, environment: dict[str, str], role: str) -> None:
    """Refused at once: it will not become right by waiting."""
    url = as_role(environment[URL], role, "wrong-" + PASSWORD)
    refused_by_both(serve, {**environment, URL: url}, "the password of the database user is wrong")


def test_no_password(serve: Any, environment: dict[str, str], role: str) -> None:
    """A server that asks for a password that is not configured."""
    url = environment[URL].replace("postgres@", f"{role}@")
    refused_by_both(serve, {**environment, URL: url, "PGPASSFILE": "/nowhere"}, "password")


def test_a_missing_database(serve: Any, environment: dict[str, str], server: LocalServer) -> None:
    """Refused at once."""
    refused_by_both(serve, {**environment, URL: server.url("nowhere")}, "does not exist")


def test_missing_rights(serve: Any, environment: dict[str, str], role: str, url: str) -> None:
    """The first right that is lacking is named, with its table."""
    environment[URL] = as_role(url, role)
    refused_by_both(serve, environment, "lacks the right SELECT on the table juststorage_version")
    run_sql(
        url,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"REVOKE INSERT ON objects FROM {role}",
    )
    assert status(environment) == (0, "")
    told = serve.refusal(environment=environment)
    assert "lacks the right INSERT on the table objects" in told
    assert PASSWORD not in told


def test_another_encoding(serve: Any, environment: dict[str, str], server: LocalServer) -> None:
    """Keys are Unicode: a database that cannot hold them is refused before it has a schema."""
    run_sql(server.url(), "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        refused_by_both(serve, {**environment, URL: server.url("latin")}, "encoding is LATIN1")
    finally:
        run_sql(server.url(), "DROP DATABASE latin")


def test_a_read_only_replica(
    serve: Any, environment: dict[str, str], server: LocalServer, url: str
) -> None:
    """A real one: its schema may be looked at and not changed; a service asks for the primary."""
    with own_server(replica_of=server) as replica:
        environment[URL] = url.replace(str(server.root), str(replica.root))
        told = serve.refusal(environment=environment)
        assert "read-only replica; name the primary" in told
        assert status(environment) == (0, "")
        for words in (["migrate", "up"], ["migrate", "down", "base", "--yes"]):
            result = CliRunner().invoke(juststorage, words, env=environment)
            assert result.exit_code == 2, result.output
            assert "read-only replica; name the primary" in result.stderr
            assert result.stderr.count("\n") == 1


@contextmanager
def restarted(server: LocalServer, **settings: str) -> Iterator[None]:
    """The server with other settings."""
    server.stop()
    server.start(**settings)
    try:
        yield
    finally:
        server.stop()
        server.start()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_forgets(
    serve: Any, environment: dict[str, str], server: LocalServer, setting: str
) -> None:
    """Refused by the setting's name, unless the operator says that it is meant."""
    with restarted(server, **{setting: "off"}):
        told = serve.refusal(environment=environment)
        assert f"{setting} is off" in told
        assert "allow_unsafe_settings" in told
        assert serve(environment={**environment, UNSAFE: "true"}).stop() == 0
        assert status(environment) == (0, "")


def test_no_schema(serve: Any, environment: dict[str, str], server: LocalServer) -> None:
    """The command to run is named; the status tells by its exit code that there is work."""
    run_sql(server.url(), "CREATE DATABASE bare ENCODING 'UTF8'")
    try:
        environment[URL] = server.url("bare")
        assert "run: juststorage migrate up" in serve.refusal(environment=environment)
        assert status(environment)[0] == 1
    finally:
        run_sql(server.url(), "DROP DATABASE bare")


def test_a_newer_schema(serve: Any, environment: dict[str, str], url: str) -> None:
    """A schema that a later version made is left alone."""
    run_sql(url, "UPDATE juststorage_version SET version_num = '9999'")
    told = serve.refusal(environment=environment)
    assert "newer than this version's" in told
