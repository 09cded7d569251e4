"""AuthenticatorContract: what every authenticator must do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import anyio
import msgspec
import pytest

from juststorage.domain import Principal
from juststorage.errors import Unauthenticated
from juststorage.plugins import AuthenticatorBackend
from juststorage.plugins.memory import MEMORY_METADATA
from juststorage.ports import Authenticator, Credentials, MetadataStore
from juststorage.testing._opening import open_backend
from juststorage.testing.contracts._base import Contract

__all__ = ["AuthenticatorContract"]

_HOSTILE = (
    "",
    " ",
    ".",
    "..",
    "...",
    "a.b.c",
    "\x00",
    "é",
    "\ud800",
    "\N{GRINNING FACE}" * 20,
    "' OR 1=1 --",
    "js_" + "a" * 12 + "_" + "A" * 43,
    "e30.e30.e30",
    "x" * 100_000,
)


class AuthenticatorContract(Contract):
    """The contract of `Authenticator`.

    A subclass gives the fixtures `accepted` and `refused`: credentials of its kind that are valid,
    and some that are not. They may use `metadata`, the open metadata store (in memory).
    """

    backend: ClassVar[AuthenticatorBackend[Any]]

    @pytest.fixture
    async def metadata(self) -> AsyncIterator[MetadataStore]:
        """The metadata store that the authenticator may look into."""
        async with open_backend(MEMORY_METADATA) as store:
            yield store

    @pytest.fixture
    async def authenticator(
        self, options: msgspec.Struct, metadata: MetadataStore
    ) -> AsyncIterator[Authenticator]:
        """The authenticator under test."""
        async with self.opened(options, metadata=metadata) as authenticator:
            assert isinstance(authenticator, Authenticator)
            yield authenticator

    @pytest.fixture
    def accepted(self) -> Sequence[Credentials]:
        """Valid credentials of its kind."""
        raise NotImplementedError("a subclass says which credentials are accepted")

    @pytest.fixture
    def refused(self) -> Sequence[Credentials]:
        """Credentials of its kind that are not valid: unknown, expired, forged, malformed."""
        raise NotImplementedError("a subclass says which credentials are refused")

    async def test_credentials_that_are_not_valid_end_the_chain(
        self, authenticator: Authenticator, refused: Sequence[Credentials]
    ) -> None:
        """They raise; None would hand them to the next link. Nothing of them is told."""
        assert refused
        for credentials in refused:
            with pytest.raises(Unauthenticated) as refusal:
                await authenticator.authenticate(credentials)
            for secret in (credentials.token, credentials.api_key):
                assert not secret or secret not in str(refusal.value)
                assert not secret or secret not in repr(refusal.value.fields)

    async def test_nothing_is_nobody(self, authenticator: Authenticator) -> None:
        """Without credentials, and with those of another kind, it has no opinion."""
        assert await authenticator.authenticate(Credentials()) is None
        other = Credentials(scheme="unheard-of", token="x", peer="192.0.2.1")  # noqa: S106
        assert await authenticator.authenticate(other) is None

    @pytest.mark.parametrize("text", _HOSTILE, ids=range(len(_HOSTILE)))
    async def test_hostile_credentials_are_no_accident(
        self, authenticator: Authenticator, text: str
    ) -> None:
        """Any text in any place is refused or left to the next link, never another error."""
        raw = text.encode("utf-8", "surrogatepass")
        for credentials in (
            Credentials(api_key=text),
            *(
                Credentials(scheme=scheme, token=text)
                for scheme in ("bearer", "apikey", "basic", text)
            ),
            Credentials(raw_headers=((b"x-user", raw), (b"x-user", raw), (raw, raw))),
        ):
            try:
                assert await authenticator.authenticate(credentials) is None
            except Unauthenticated:
                continue

    async def test_valid_credentials_are_a_principal(
        self, authenticator: Authenticator, accepted: Sequence[Credentials]
    ) -> None:
        """Each time the same one, for callers one after another and at once."""
        assert accepted
        for credentials in accepted:
            found: list[Principal | None] = []

            async def ask(asked: Credentials = credentials, to: list[Any] = found) -> None:
                to.append(await authenticator.authenticate(asked))

            await ask()
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(ask)
            assert all(principal == found[0] for principal in found)
            assert isinstance(found[0], Principal)
            assert found[0].subject

    async def test_a_principal_does_not_carry_its_secret(
        self, authenticator: Authenticator, accepted: Sequence[Credentials]
    ) -> None:
        """What goes into logs has nothing to steal."""
        for credentials in accepted:
            principal = await authenticator.authenticate(credentials)
            for secret in (credentials.token, credentials.api_key):
                assert not secret or secret not in repr(principal)
                assert not secret or secret not in repr(credentials)
