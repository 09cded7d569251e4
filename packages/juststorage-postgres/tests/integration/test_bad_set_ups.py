"""What a service refuses to start on: one sentence that says what to do, and no secret in it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import anyio
import pytest

from juststorage.errors import JustStorageError, Misconfigured, Unavailable
from juststorage.plugins import Secret
from juststorage.ports import MetadataStore
from juststorage.testing import open_backend, open_context
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES
from juststorage_postgres.testing import (
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
    run_sql,
)

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]

PASSWORD = "correct-horse"


@pytest.fixture
def role(postgres_url: str) -> Iterator[str]:
    """A user without any right of its own, who must give a password."""
    name = f"app_{secrets.token_hex(4)}"
    run_sql(
        postgres_url,
        "DO $$ BEGIN CREATE ROLE needs_password; EXCEPTION"
        " WHEN duplicate_object OR unique_violation THEN END $$",
        f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' IN ROLE needs_password",
    )
    yield name
    run_sql(postgres_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def as_role(url: str, role: str, password: str = PASSWORD) -> str:
    """The URL for another user."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{role}:{password}@{rest.rpartition('@')[2]}"


async def refusal(open_store: OpenStore, url: str, **changes: object) -> JustStorageError:
    """What opening the store ends with."""
    with pytest.raises(JustStorageError) as caught:
        async with open_store(url, **changes):
            pass
    assert PASSWORD not in str(caught.value) and "secret" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("mysql://u:secret@h/d", Misconfigured, "must begin with postgresql://"),
        ("u:secret@h/d", Misconfigured, "must begin with postgresql://"),
        ("postgresql://u:secret@h:port/d", Misconfigured, "not valid"),
        ("postgresql://u:se/secret@127.0.0.1:1/d", JustStorageError, "database"),
        ("postgresql://u:secret@127.0.0.1:1/d", Unavailable, "127.0.0.1:1/d did not answer"),
        ("postgresql://u:secret@/d?host=/nowhere", JustStorageError, "database"),
    ],
)
async def test_a_wrong_url(url: str, kind: type[JustStorageError], words: str) -> None:
    """A URL that leads nowhere is named by its server, without user and password."""
    options = PostgresOptions(url=Secret(url), connect_wait_s=0)
    with pytest.raises(kind, match=words) as caught:
        async with open_backend(POSTGRES, options):
            pass
    assert "secret" not in str(caught.value)


async def test_who_only_looks_waits_for_nothing() -> None:
    """A look at a database that is away ends at once, whatever `connect_wait_s` says."""
    options = PostgresOptions(url=Secret("postgresql://u@127.0.0.1:1/d"), connect_wait_s=3600)
    with pytest.raises(Unavailable, match=r"did not answer$"):
        async with (
            open_context("metadata") as context,
            POSTGRES.open(options, replace(context, inspect=True)),
        ):
            pass


async def test_a_wrong_password(open_store: OpenStore, postgres_url: str, role: str) -> None:
    """Refused at once, not after waiting: no later attempt can succeed."""
    error = await refusal(open_store, as_role(postgres_url, role, "wrong"), connect_wait_s=60)
    assert isinstance(error, Misconfigured) and "password" in str(error)


async def test_a_missing_database(open_store: OpenStore, postgres_server: PostgresServer) -> None:
    """Refused at once."""
    error = await refusal(open_store, postgres_server.url("no_such_database"), connect_wait_s=60)
    assert isinstance(error, Misconfigured) and "does not exist" in str(error)


async def test_missing_rights(open_store: OpenStore, postgres_url: str, role: str) -> None:
    """The first right that is lacking is named with its table."""
    url = as_role(postgres_url, role)
    run_sql(
        postgres_url,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"REVOKE DELETE ON objects FROM {role}",
    )
    error = await refusal(open_store, url)
    assert isinstance(error, Misconfigured)
    assert "lacks the right DELETE on the table objects" in str(error)
    run_sql(postgres_url, f"GRANT DELETE ON objects TO {role}")
    async with open_store(url) as store:
        await store.ping()


async def test_no_right_to_look_at_the_schema(
    open_store: OpenStore, postgres_url: str, role: str
) -> None:
    """A user with no rights at all gets a sentence too."""
    error = await refusal(open_store, as_role(postgres_url, role))
    assert isinstance(error, Misconfigured) and "right" in str(error)


async def test_a_read_only_database(open_store: OpenStore, postgres_url: str, role: str) -> None:
    """A server that takes no writes is refused before the first one fails."""
    run_sql(postgres_url, f"ALTER ROLE {role} SET default_transaction_read_only = on")
    error = await refusal(open_store, as_role(postgres_url, role))
    assert isinstance(error, Misconfigured) and "read-only" in str(error)


async def test_another_encoding(open_store: OpenStore, postgres_server: PostgresServer) -> None:
    """Keys are Unicode, byte for byte: no other encoding can hold them."""
    name = f"juststorage_{secrets.token_hex(6)}"
    run_sql(
        postgres_server.admin_url,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
    )
    try:
        error = await refusal(open_store, postgres_server.url(name))
    finally:
        run_sql(postgres_server.admin_url, f"DROP DATABASE {name}")
    assert isinstance(error, Misconfigured) and "LATIN1" in str(error)


async def test_no_schema(open_store: OpenStore, empty_postgres_url: str) -> None:
    """The command to run is named."""
    error = await refusal(open_store, empty_postgres_url)
    assert isinstance(error, Misconfigured) and "juststorage migrate up" in str(error)


@pytest.mark.parametrize(("revision", "word"), [("0000", "newer"), ("9999", "newer")])
async def test_a_schema_of_another_version(
    open_store: OpenStore, empty_postgres_url: str, revision: str, word: str
) -> None:
    """A schema that this version does not know is refused, with the command's name."""
    migrate(empty_postgres_url)
    run_sql(empty_postgres_url, f"UPDATE juststorage_version SET version_num = '{revision}'")
    error = await refusal(open_store, empty_postgres_url)
    assert isinstance(error, Misconfigured)
    assert word in str(error) and "juststorage migrate up" in str(error)


@pytest.fixture(scope="module")
def unsafe_server() -> Iterator[LocalServer]:
    """A server that would lose what it has acknowledged."""
    with own_server() as server:
        server.stop()
        server.start(fsync="off")
        yield server


async def test_unsafe_settings(open_store: OpenStore, unsafe_server: LocalServer) -> None:
    """Refused by name, unless the operator says that it is meant."""
    served = PostgresServer(unsafe_server.url(), "unsafe", unsafe_server)
    with made_database(served) as url:
        migrate(url)
        error = await refusal(open_store, url)
        assert isinstance(error, Misconfigured) and "fsync is off" in str(error)
        async with open_store(url, allow_unsafe_settings=True) as store:
            await store.ping()


async def test_a_database_that_comes_late(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A start-up waits for its database, says so, and goes on when it is there."""
    with own_server() as server:
        served = PostgresServer(server.url(), "late", server)
        with made_database(served) as url:
            migrate(url)
            server.stop()
            waiting = anyio.Event()

            class Watch(logging.Handler):
                def emit(self, record: logging.LogRecord) -> None:
                    waiting.set()

            async def open_it() -> None:
                async with open_store(url, connect_wait_s=60) as store:
                    await store.ping()

            handler = Watch()
            logger = logging.getLogger("juststorage.test.metadata")
            logger.addHandler(handler)
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(open_it)
                    await waiting.wait()
                    await anyio.to_thread.run_sync(server.start)
            finally:
                logger.removeHandler(handler)
    assert "does not answer" in caplog.text and "trying again for 60 s" in caplog.text
