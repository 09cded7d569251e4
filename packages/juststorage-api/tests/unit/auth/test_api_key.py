"""The authenticator `api_key`: what it accepts, what it refuses, what it remembers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest

from juststorage.domain import ApiKeySecret, Namespace, Scope, TenantId
from juststorage.errors import Unauthenticated, Unavailable
from juststorage.ports import ApiKeyChange, Credentials
from juststorage.testing import FakeClock

pytest_plugins = ["juststorage.testing.fixtures"]


class TestRefusals:
    async def test_an_unknown_key_is_refused(self, service: Any) -> None:
        """A well-formed key that was never issued opens nothing."""
        await service.refusal(ApiKeySecret.new().text)

    @pytest.mark.parametrize("text", ["", "short", "x" * 257, "ä" * 30, "tab\t" * 10])
    async def test_a_malformed_key_is_refused_without_a_look_up(
        self, service: Any, text: str
    ) -> None:
        """What cannot be a key costs the store nothing."""
        await service.refusal(text)
        assert service.keys.lookups == 0

    async def test_a_revoked_key_is_refused(self, service: Any) -> None:
        """A key that is not active opens nothing."""
        key, _ = await service.add(is_active=False)
        await service.refusal(key)

    async def test_an_expired_key_is_refused_from_its_last_moment_on(
        self, service: Any, fake_clock: FakeClock
    ) -> None:
        """Expiry counts at every use, also while the answer about the key is remembered."""
        key, _ = await service.add(expires_at=fake_clock.now() + timedelta(seconds=2))
        await service.ask(key)
        await fake_clock.advance(1.9)
        await service.ask(key)
        await fake_clock.advance(0.1)
        await service.refusal(key)
        assert service.keys.lookups == 1

    async def test_refusals_do_not_say_why(self, service: Any, fake_clock: FakeClock) -> None:
        """Whether a key is malformed, unknown, revoked or expired is nobody's business."""
        revoked, _ = await service.add(is_active=False)
        expired, _ = await service.add(expires_at=fake_clock.now())
        keys = ["nonsense", ApiKeySecret.new().text, revoked, expired]
        assert len({await service.refusal(key) for key in keys}) == 1

    async def test_a_store_that_does_not_answer_is_not_a_refusal(self, service: Any) -> None:
        """A client with a good key must not be told that it is bad because a database is away."""
        key, _ = await service.add()
        service.keys.failure = Unavailable("the database does not answer")
        with pytest.raises(Unavailable):
            await service.ask(key)
        service.keys.failure = None
        assert await service.ask(key) is not None


class TestCredentials:
    async def test_both_headers_carry_a_key(self, service: Any) -> None:
        """`Authorization: ApiKey` and `X-API-Key` mean the same."""
        key, _ = await service.add()
        by_header = await service.authenticator.authenticate(Credentials(api_key=key))
        assert by_header == await service.ask(key)

    @pytest.mark.parametrize(
        "credentials",
        [Credentials(), Credentials(scheme="bearer", token="x" * 30), Credentials(scheme="basic")],
        ids=["none", "bearer", "basic"],
    )
    async def test_other_credentials_are_left_to_others(
        self, service: Any, credentials: Credentials
    ) -> None:
        """What is not an API key goes to the next authenticator in the chain."""
        assert await service.authenticator.authenticate(credentials) is None

    @pytest.mark.parametrize(
        "credentials", [Credentials(scheme="apikey"), Credentials(api_key="")], ids=["token", "key"]
    )
    async def test_an_empty_key_is_a_key(self, service: Any, credentials: Credentials) -> None:
        """A credential of this kind that is empty ends the chain."""
        with pytest.raises(Unauthenticated):
            await service.authenticator.authenticate(credentials)

    async def test_the_principal_is_the_row(self, service: Any) -> None:
        """A caller may do what the key's row says, no more."""
        key, row = await service.add(
            scopes=[Scope.OBJECTS_READ, Scope.OBJECTS_WRITE],
            tenants=["acme", "umbrella"],
            namespaces=["models"],
        )
        principal = await service.ask(key)
        assert principal.subject == f"api_key:{row.id}"
        assert principal.scopes == {Scope.OBJECTS_READ, Scope.OBJECTS_WRITE}
        assert principal.tenants == {TenantId("acme"), TenantId("umbrella")}
        assert principal.namespaces == {Namespace("models")}


class TestCache:
    async def test_a_revoked_key_is_refused_within_five_seconds(
        self, service: Any, fake_clock: FakeClock
    ) -> None:
        """An answer is believed for 5 s, however often it is used."""
        key, row = await service.add()
        await service.ask(key)
        await service.keys.update(row.id, ApiKeyChange(is_active=False))
        await fake_clock.advance(4.9)
        await service.ask(key)
        await fake_clock.advance(0.1)
        await service.refusal(key)

    async def test_an_answer_ages_while_it_is_under_way(
        self, service: Any, fake_clock: FakeClock
    ) -> None:
        """A key that was revoked while a slow look-up returned is refused 5 s after its start."""
        key, row = await service.add()
        service.keys.close_gate()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.ask, key)
            await service.keys.asked.wait()
            await fake_clock.advance(4)
            await service.keys.update(row.id, ApiKeyChange(is_active=False))
            service.keys.gate.set()
        await fake_clock.advance(1)
        await service.refusal(key)

    async def test_bad_keys_are_remembered_too(self, service: Any, fake_clock: FakeClock) -> None:
        """A client that keeps trying a bad key does not reach the store each time."""
        key = ApiKeySecret.new().text
        await service.refusal(key)
        await service.refusal(key)
        assert service.keys.lookups == 1
        await fake_clock.advance(5)
        await service.refusal(key)
        assert service.keys.lookups == 2

    async def test_guesses_do_not_push_out_keys_in_use(self, open_service: Any) -> None:
        """Bad keys are forgotten for bad keys only, and their number is bounded."""
        async with open_service(cache_size=2) as service:
            key, _ = await service.add()
            await service.ask(key)
            guesses = [ApiKeySecret.new().text for _ in range(3)]
            for guess in guesses:
                await service.refusal(guess)
            await service.ask(key)
            assert service.keys.lookups == 4
            await service.refusal(guesses[2])
            assert service.keys.lookups == 4
            await service.refusal(guesses[0])
            assert service.keys.lookups == 5

    async def test_the_oldest_answer_goes_first(self, open_service: Any) -> None:
        """The number of remembered keys is bounded."""
        async with open_service(cache_size=2) as service:
            keys = [(await service.add())[0] for _ in range(3)]
            for key in keys:
                await service.ask(key)
            await service.ask(keys[2])
            await service.ask(keys[1])
            assert service.keys.lookups == 3
            await service.ask(keys[0])
            assert service.keys.lookups == 4

    async def test_zero_remembers_nothing(self, open_service: Any) -> None:
        """With a time of 0 every request asks the store."""
        async with open_service(cache_ttl_s=0) as service:
            key, row = await service.add()
            await service.ask(key)
            await service.keys.update(row.id, ApiKeyChange(is_active=False))
            await service.refusal(key)
            await service.refusal(ApiKeySecret.new().text)
            assert service.keys.lookups == 3

    async def test_the_key_itself_is_kept_nowhere(self, service: Any) -> None:
        """Remembered is the hash: a dump of memory gives no key away."""
        key, _ = await service.add()
        await service.ask(key)
        await service.refusal(bad := ApiKeySecret.new().text)
        kept = repr(vars(service.authenticator))
        assert key not in kept
        assert bad not in kept


class TestConcurrency:
    async def test_one_look_up_for_all_who_ask_at_once(self, service: Any) -> None:
        """A burst of requests with a key that is not remembered costs one look-up."""
        key, _ = await service.add()
        service.keys.close_gate()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(service.ask, key)
            await anyio.wait_all_tasks_blocked()
            service.keys.gate.set()
        assert service.keys.lookups == 1

    async def test_a_failed_look_up_fails_for_all_who_waited(self, service: Any) -> None:
        """Those who waited for a look-up do not queue up for one failure each."""
        key, _ = await service.add()
        service.keys.close_gate()
        service.keys.failure = Unavailable("the database does not answer")
        failures: list[Unavailable] = []

        async def ask() -> None:
            with pytest.raises(Unavailable) as caught:
                await service.ask(key)
            failures.append(caught.value)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            service.keys.gate.set()
        assert len(failures) == 5
        assert service.keys.lookups == 1

    async def test_a_caller_that_leaves_takes_nobody_along(self, service: Any) -> None:
        """When the request whose look-up all wait for is cancelled, another one takes over."""
        key, _ = await service.add()
        service.keys.close_gate()
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await service.ask(key))

        async with anyio.create_task_group() as tasks:
            leader = anyio.CancelScope()

            async def lead() -> None:
                with leader:
                    await service.ask(key)

            tasks.start_soon(lead)
            await service.keys.asked.wait()
            for _ in range(3):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            leader.cancel()
            await anyio.wait_all_tasks_blocked()
            service.keys.gate.set()
        assert len(answers) == 3
        assert service.keys.lookups == 2


class TestLastUsed:
    async def test_a_use_is_recorded_beside_the_request(
        self, service: Any, fake_clock: FakeClock
    ) -> None:
        """The request itself writes nothing; a few seconds later the time is there."""
        key, row = await service.add()
        await service.ask(key)
        assert service.keys.touches == []
        await fake_clock.advance(5)
        assert service.keys.touches == [frozenset({row.id})]
        assert (await service.keys.find(row.id)).last_used_at == fake_clock.now()

    async def test_at_most_once_a_minute(self, service: Any, fake_clock: FakeClock) -> None:
        """A busy key is written once a minute, and its last use is not lost."""
        key, _ = await service.add()
        for _ in range(130):
            await service.ask(key)
            await fake_clock.advance(1)
        assert len(service.keys.touches) == 3

    async def test_refused_keys_are_not_used(self, service: Any, fake_clock: FakeClock) -> None:
        """A key that was revoked is not used by trying it."""
        key, _ = await service.add(is_active=False)
        await service.refusal(key)
        await fake_clock.advance(60)
        assert service.keys.touches == []

    async def test_a_store_that_is_away_is_tried_again(
        self, service: Any, fake_clock: FakeClock
    ) -> None:
        """A failure to record neither stops the service nor loses the use."""
        key, row = await service.add()
        await service.ask(key)
        service.keys.failure = Unavailable("the database does not answer")
        await fake_clock.advance(5)
        service.keys.failure = None
        await fake_clock.advance(5)
        assert service.keys.touches == [frozenset({row.id})]

    async def test_the_end_of_the_service_records_what_is_left(self, open_service: Any) -> None:
        """A use just before the end is recorded."""
        async with open_service() as service:
            key, row = await service.add()
            await service.ask(key)
        assert service.keys.touches == [frozenset({row.id})]
