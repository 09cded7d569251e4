"""AuthenticatorContract: what every authenticator must do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import anyio
import msgspec
import pytest

from juststorage.domain import Principal
from juststorage.errors import Unauthenticated
from juststorage.plugins import AuthenticatorBackend
from juststorage.plugins.memory import MEMORY_METADATA
from juststorage.ports import Authenticator, Credentials, MetadataStore
from juststorage.testing._clock import FakeClock
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


_BEFORE = timedelta(minutes=1)
_LEEWAY = timedelta(minutes=1)


def _shown(credentials: Credentials) -> str:
    return f"{credentials.scheme!r}" if credentials.scheme else "a request without credentials"


def _causes(error: BaseException) -> list[str]:
    """What the log shows of how an error came about."""
    told: list[str] = []
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while before is not None and len(told) < 10:
        told.append(repr(before))
        before = before.__cause__ or (None if before.__suppress_context__ else before.__context__)
    return told


async def _refusal(
    authenticator: Authenticator, credentials: Credentials, which: str
) -> Unauthenticated:
    try:
        answer = await authenticator.authenticate(credentials)
    except Unauthenticated as error:
        return error
    if answer is None:
        pytest.fail(f"{which}: answered None, so the next link is asked; raise Unauthenticated")
    pytest.fail(f"{which}: ACCEPTED as {answer.subject!r}; raise Unauthenticated")


class AuthenticatorContract(Contract):
    """The contract of `Authenticator`.

    A subclass gives the fixtures `accepted` and `refused`: credentials of its kind that are valid,
    and some that are not. They may use `metadata`, the open metadata store (in memory). Where
    credentials end by themselves, the fixture `expiring` has some with the time when they do.
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

    @pytest.fixture
    def expiring(self) -> Sequence[tuple[Credentials, datetime]]:
        """Credentials with the end of their validity, by `OpenContext.clock`; none by default."""
        return ()

    async def test_credentials_that_are_not_valid_end_the_chain(
        self, authenticator: Authenticator, refused: Sequence[Credentials]
    ) -> None:
        """They raise; None would hand them to the next link. Nothing of them is told."""
        assert refused
        for number, credentials in enumerate(refused):
            error = await _refusal(authenticator, credentials, f"number {number} of `refused`")
            for secret in filter(None, (credentials.token, credentials.api_key)):
                told = [str(error), repr(error.fields), *_causes(error)]
                assert not any(secret in text for text in told), (
                    f"the refusal of number {number} of `refused` repeats the credential: its text"
                    " goes to the client, and its cause to the log"
                )

    async def test_credentials_end_when_they_say(
        self,
        options: msgspec.Struct,
        metadata: MetadataStore,
        expiring: Sequence[tuple[Credentials, datetime]],
    ) -> None:
        """Until then they are accepted, and refused from a minute after; by the service's clock."""
        if not expiring:
            pytest.skip("there is no fixture `expiring`: nothing of it ends by itself")
        for number, (credentials, end) in enumerate(expiring):
            clock = FakeClock(end - _BEFORE)
            async with self.opened(options, metadata=metadata, clock=clock) as authenticator:
                assert await authenticator.authenticate(credentials) is not None, (
                    f"number {number} of `expiring` is not accepted a minute before its end"
                )
                await clock.advance((_BEFORE + _LEEWAY).total_seconds())
                await _refusal(authenticator, credentials, f"expired, number {number} of it")

    async def test_nothing_is_nobody(self, authenticator: Authenticator) -> None:
        """Without credentials, and with those of another kind, it has no opinion."""
        other = Credentials(scheme="unheard-of", token="x", peer="192.0.2.1")  # noqa: S106
        for credentials in (Credentials(), other):
            try:
                answer = await authenticator.authenticate(credentials)
            except Unauthenticated:
                pytest.fail(
                    f"it refused {_shown(credentials)}, which is not of its kind: answer None, so"
                    " that the next link is asked"
                )
            assert answer is None, f"it took {_shown(credentials)} for {answer!r}"

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
            assert all(principal == found[0] for principal in found), (
                "callers with equal credentials became different principals"
            )
            assert isinstance(found[0], Principal), f"credentials of `accepted` gave {found[0]!r}"
            assert found[0].subject, "the principal has no subject: nobody could be told from logs"

    async def test_a_principal_does_not_carry_its_secret(
        self, authenticator: Authenticator, accepted: Sequence[Credentials]
    ) -> None:
        """What goes into logs has nothing to steal."""
        for credentials in accepted:
            principal = await authenticator.authenticate(credentials)
            for secret in (credentials.token, credentials.api_key):
                assert not secret or secret not in repr(principal), (
                    "the principal carries its credential: it goes to logs and audits"
                )
                assert not secret or secret not in repr(credentials)
