"""The kit against hashers, authenticators and policies with a bug in each: caught, and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from textwrap import dedent

import pytest

pytest_plugins = ["pytester"]

HEAD = """
    import hashlib
    import time
    from contextlib import asynccontextmanager
    from dataclasses import replace
    from datetime import UTC, datetime, timedelta

    import pytest
    from juststorage.domain import Principal, Scope, TenantId
    from juststorage.errors import Unauthenticated
    from juststorage.plugins import AuthenticatorBackend, GCPolicyBackend, HasherBackend, NoOptions
    from juststorage.ports import Authenticator, Credentials, Decision, GCPolicy, Hasher
    from juststorage.testing import AuthenticatorContract, GCPolicyContract, HasherContract

    pytest_plugins = ["juststorage.testing.fixtures"]
    END = datetime(2026, 6, 1, tzinfo=UTC)

    @asynccontextmanager
    async def open_it(options, context):
        yield Planted()

    class Base(Hasher):
        algorithm = "sha256"

        def new(self):
            return hashlib.sha256()

    class Token(Authenticator):
        # Takes `Bearer mine.<name>.<end>`.
        principal = Principal(
            subject="someone", tenants=frozenset({TenantId("acme")}), scopes=frozenset(Scope)
        )

        async def authenticate(self, credentials):
            token = credentials.token or ""
            if credentials.scheme != "bearer" or not token.startswith("mine."):
                return None
            return self.known(credentials)

        def known(self, credentials):
            if credentials.token != f"mine.someone.{END.isoformat()}":
                raise Unauthenticated("the token is not valid")
            return self.principal
"""
HASHER = """
    class {name}(HasherContract):
        backend = HasherBackend(name="planted", summary="x", options=NoOptions, open=open_it)
        vectors = {{b"": hashlib.sha256().hexdigest()}}
"""
POLICY = """
    class {name}(GCPolicyContract):
        backend = GCPolicyBackend(name="planted", summary="x", options=NoOptions, open=open_it)
"""
AUTHENTICATOR = """
    class {name}(AuthenticatorContract):
        backend = AuthenticatorBackend(
            name="planted", summary="x", options=NoOptions, open=open_it
        )

        @pytest.fixture
        def accepted(self):
            return [Credentials(scheme="bearer", token=f"mine.someone.{{END.isoformat()}}")]

        @pytest.fixture
        def refused(self):
            return [Credentials(scheme="bearer", token="mine.nobody.forged")]

        @pytest.fixture
        def expiring(self, accepted):
            return [(accepted[0], END)]
"""

# The test that finds it, and what it says.
BUGS = {
    "state is shared between instances": (
        """
        class Planted(Base):
            state = hashlib.sha256()

            def new(self):
                return self.state
        """,
        "test_states_are_apart",
        "two states share what they were given: `new` must make a state of its own",
    ),
    "the digest depends on how the bytes were cut": (
        """
        class Tree:
            def __init__(self):
                self.leaves = []

            def update(self, data):
                self.leaves.append(hashlib.sha256(data).digest())

            def digest(self):
                return hashlib.sha256(b"".join(self.leaves)).digest()

        class Planted(Base):
            def new(self):
                return Tree()
        """,
        "test_pieces_do_not_matter",
        "the digest is another than at once: it must not depend on how the bytes were cut",
    ),
    "the digest is too short": (
        """
        class Short:
            def __init__(self):
                self.state = hashlib.sha256()

            def update(self, data):
                self.state.update(data)

            def digest(self):
                return self.state.digest()[:8]

        class Planted(Base):
            algorithm = "short"

            def new(self):
                return Short()
        """,
        "test_a_content_hash_comes_out",
        "`digest` gave 8 bytes: a content hash has 16 to 64",
    ),
    "the buffer is kept": (
        """
        class Lazy:
            def __init__(self):
                self.pieces = []

            def update(self, data):
                self.pieces.append(data)

            def digest(self):
                return hashlib.sha256(b"".join(bytes(each) for each in self.pieces)).digest()

        class Planted(Base):
            def new(self):
                return Lazy()
        """,
        "test_pieces_do_not_matter",
        "ValueError: operation forbidden on released memoryview object",
    ),
    "the digest ends the state": (
        """
        class Once:
            def __init__(self):
                self.state, self.made = hashlib.sha256(), None

            def update(self, data):
                self.state.update(data)

            def digest(self):
                self.made = self.made or self.state.digest()
                return self.made

        class Planted(Base):
            def new(self):
                return Once()
        """,
        "test_a_digest_may_be_asked_for_in_between",
        "`digest` ended the state: what was added later is missing",
    ),
    "another function than its name says": (
        """
        class Planted(Base):
            def new(self):
                return hashlib.sha3_256()
        """,
        "test_published_digests",
        "of b'' the published digest is another",
    ),
    "what is not mine is refused": (
        """
        class Planted(Token):
            async def authenticate(self, credentials):
                return self.known(credentials)
        """,
        "test_nothing_is_nobody",
        "it refused a request without credentials, which is not of its kind: answer None",
    ),
    "what is forged is handed on": (
        """
        class Planted(Token):
            async def authenticate(self, credentials):
                try:
                    return await super().authenticate(credentials)
                except Unauthenticated:
                    return None
        """,
        "test_credentials_that_are_not_valid_end_the_chain",
        "number 0 of `refused`: answered None, so the next link is asked; raise Unauthenticated",
    ),
    "an expired credential is accepted": (
        """
        class Planted(Token):
            pass
        """,
        "test_credentials_end_when_they_say",
        "expired, number 0 of it: ACCEPTED as 'someone'; raise Unauthenticated",
    ),
    "the refusal repeats the credential": (
        """
        class Planted(Token):
            def known(self, credentials):
                if "nobody" in credentials.token:
                    raise Unauthenticated(f"who is {credentials.token}?")
                return super().known(credentials)
        """,
        "test_credentials_that_are_not_valid_end_the_chain",
        "the refusal of number 0 of `refused` repeats the credential",
    ),
    "the cause of a refusal repeats the credential": (
        """
        class Planted(Token):
            def known(self, credentials):
                try:
                    return {}[credentials.token]
                except KeyError as error:
                    raise Unauthenticated("the token is not valid") from error
        """,
        "test_credentials_that_are_not_valid_end_the_chain",
        "its text goes to the client, and its cause to the log",
    ),
    "the principal carries the credential": (
        """
        class Planted(Token):
            def known(self, credentials):
                return Principal(
                    subject=credentials.token, tenants=frozenset(), scopes=frozenset()
                )
        """,
        "test_a_principal_does_not_carry_its_secret",
        "the principal carries its credential: it goes to logs and audits",
    ),
    "the loop is blocked": (
        """
        class Planted(Token):
            def known(self, credentials):
                time.sleep(0.9)
                return super().known(credentials)
        """,
        "test_credentials_that_are_not_valid_end_the_chain",
        "the event loop stood still for over 0.5 s in *known: what waits belongs in a thread",
    ),
    "what is malformed is an accident": (
        """
        class Planted(Token):
            async def authenticate(self, credentials):
                (credentials.token or "").encode()
                return await super().authenticate(credentials)
        """,
        "test_hostile_credentials_are_no_accident",
        "authenticate failed unexpectedly",
    ),
    "decisions depend on the order": (
        """
        class Planted(GCPolicy):
            seen = 0

            def decide(self, candidate, now):
                self.seen += 1
                return Decision.COLLECT if self.seen < 100 else Decision.KEEP
        """,
        "test_decisions_are_pure",
        "asked again, in another order, `decide` gave another answer: it must remember nothing",
    ),
    "a clock of its own": (
        """
        class Planted(GCPolicy):
            def decide(self, candidate, now):
                age = datetime.now(UTC) - candidate.blob.zero_since
                return Decision.COLLECT if age > timedelta(days=1) else Decision.KEEP
        """,
        "test_the_time_is_what_it_is_told",
        "with all times moved, `decide` gave another answer: it must reckon from `now`",
    ),
    "fresh garbage goes and old garbage stays": (
        """
        class Planted(GCPolicy):
            def decide(self, candidate, now):
                grace = timedelta(days=-1)
                since = candidate.blob.zero_since
                return Decision.COLLECT if since - now > grace else Decision.KEEP
        """,
        "test_what_is_collected_stays_so_with_age",
        "kept, although younger garbage of its kind is collected: is a comparison the wrong way",
    ),
    "an empty volume is an accident": (
        """
        class Planted(GCPolicy):
            def decide(self, candidate, now):
                if candidate.space is None:
                    return Decision.KEEP
                used = 1 - candidate.space.free_bytes / candidate.space.total_bytes
                return Decision.COLLECT if used > 0.8 else Decision.KEEP
        """,
        "test_every_candidate_gets_a_decision",
        "`decide` raised ZeroDivisionError*asked about 0 bytes, *on a volume with Space(total_by",
    ),
    "an answer that is no decision": (
        """
        class Planted(GCPolicy):
            def decide(self, candidate, now):
                return candidate.blob.size_bytes > 0
        """,
        "test_every_candidate_gets_a_decision",
        "answered with a bool; asked about 0 bytes",
    ),
}
CONTROLS = {
    "class Planted(Base)": "class Planted(Base): pass",
    "class Planted(Token)": """
        class Planted(Token):
            clock = None

            def known(self, credentials):
                if self.clock is not None and self.clock.now() >= END:
                    raise Unauthenticated("the token has expired")
                return super().known(credentials)

        @asynccontextmanager
        async def open_it(options, context):
            Planted.clock = context.clock if context.clock.monotonic() == 0 else None
            yield Planted()
        """,
    "class Planted(GCPolicy)": """
        class Planted(GCPolicy):
            def decide(self, candidate, now):
                return Decision.COLLECT
        """,
}
KINDS = {
    "class Planted(Base)": HASHER,
    "class Planted(Token)": AUTHENTICATOR,
    "class Planted(GCPolicy)": POLICY,
}

RunPlanted = Callable[[Sequence[str]], tuple[dict[int, str], str]]


def write(pytester: pytest.Pytester, number: int, source: str, kind: str) -> str:
    """An author's test module with this plugin in it."""
    file = f"test_bug_{number}.py"
    contract = dedent(KINDS[kind]).format(name=f"TestBug{number}")
    (pytester.path / file).write_text(dedent(HEAD) + dedent(source) + contract)
    return f"{file}::TestBug{number}"


def test_planted_bugs_are_caught(pytester: pytest.Pytester, run_planted: RunPlanted) -> None:
    """For each bug the test that is there for it fails, and says what is wrong."""
    tests = []
    for number, (source, test, _) in enumerate(BUGS.values()):
        [kind] = [each for each in KINDS if each in source]
        tests.append(f"{write(pytester, number, source, kind)}::{test}")
    told, _ = run_planted(tests)
    for number, (bug, (_, _, message)) in enumerate(BUGS.items()):
        assert told[number], f"{bug} was not caught"
        text = " ".join(told[number].split())
        pattern = message.replace("[", "[[]")
        assert fnmatchcase(text, f"*{pattern}*"), f"{bug}: {message} in\n{told[number]}"


def test_plugins_without_a_bug_pass(pytester: pytest.Pytester, run_planted: RunPlanted) -> None:
    """What the bugs were planted in keeps the whole contract: so it is the bug that is caught."""
    tests = [
        write(pytester, number, source, kind)
        for number, (kind, source) in enumerate(CONTROLS.items())
    ]
    told, summary = run_planted(tests)
    assert not any(told.values()), told
    for contract, count in ("HasherContract", 13), ("AuthenticatorContract", 19):
        assert f"{contract}: {count} of {count} required" in summary
    assert "GCPolicyContract: 4 of 4 required" in summary
