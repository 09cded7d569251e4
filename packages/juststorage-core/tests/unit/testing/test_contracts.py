"""The kit as an author meets it: in a project of their own."""

from __future__ import annotations

from textwrap import dedent

import pytest

pytest_plugins = ["pytester", "juststorage.testing.fixtures"]

HEAD = """
    import pytest
    from juststorage.plugins.memory import MEMORY_BLOBS, MEMORY_METADATA
    from juststorage.testing import BlobStoreContract, MetadataStoreContract

    pytest_plugins = ["juststorage.testing.fixtures"]
"""

RUN = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "-q")


@pytest.fixture
def author(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with nothing but defaults: no anyio mode, no conftest."""
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


def write(author: pytest.Pytester, body: str) -> None:
    """A test module that uses the kit."""
    author.makepyfile(dedent(HEAD) + dedent(body))


def test_only_subclasses_run(author: pytest.Pytester) -> None:
    """Importing a contract collects nothing."""
    write(author, "")
    assert author.runpytest_inprocess(*RUN).ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_async_tests_run_without_any_setting(author: pytest.Pytester) -> None:
    """On asyncio, once each, with one line to opt in."""
    write(author, "class TestIt(BlobStoreContract):\n    backend = MEMORY_BLOBS\n")
    done = author.runpytest_inprocess(*RUN, "-k", "reads_back or test_a_walk_sees")
    done.assert_outcomes(passed=3, deselected=done.parseoutcomes()["deselected"])


def test_a_known_failure_is_a_strict_xfail(author: pytest.Pytester) -> None:
    """It may fail for its reason; once it passes the author hears of it."""
    write(
        author,
        """
        class TestIt(BlobStoreContract):
            backend = MEMORY_BLOBS
            known_failures = {"test_put_reads_back": "issue 41", "test_ping_leaves_nothing": "42"}

            async def test_ping_leaves_nothing(self, store):
                assert False
        """,
    )
    done = author.runpytest_inprocess(*RUN, "-k", "put_reads_back or ping_leaves")
    done.stdout.fnmatch_lines(["*XPASS(strict)*issue 41*"])
    done.assert_outcomes(failed=1, xfailed=1, deselected=done.parseoutcomes()["deselected"])


def test_a_known_failure_names_a_test(author: pytest.Pytester) -> None:
    """A typo, or a test that was renamed, does not hide."""
    write(
        author,
        """
        class TestIt(BlobStoreContract):
            backend = MEMORY_BLOBS
            known_failures = {"test_that_never_was": "x"}
        """,
    )
    done = author.runpytest_inprocess(*RUN)
    done.stdout.fnmatch_lines(["*TypeError*test_that_never_was*"])


def test_asserts_explain_themselves(author: pytest.Pytester) -> None:
    """A failing contract shows the values that differ."""
    write(
        author,
        """
        from contextlib import asynccontextmanager
        from dataclasses import replace
        from juststorage.testing.faults import CorruptingBlobStore

        @asynccontextmanager
        async def open_corrupt(options, context):
            async with MEMORY_BLOBS.open(options, context) as store:
                yield CorruptingBlobStore(store)

        class TestIt(BlobStoreContract):
            backend = replace(MEMORY_BLOBS, open=open_corrupt)
        """,
    )
    done = author.runpytest_inprocess(*RUN, "-k", "put_reads_back")
    done.stdout.fnmatch_lines(["E*assert b'iello' == b'hello'*"])


LEAKS = """
    import asyncio
    from contextlib import asynccontextmanager
    from dataclasses import replace

    tasks = []

    @asynccontextmanager
    async def open_leaking(options, context):
        {leak}
        async with MEMORY_BLOBS.open(options, context) as store:
            yield store

    class TestIt(BlobStoreContract):
        backend = replace(MEMORY_BLOBS, open=open_leaking)
"""


@pytest.mark.parametrize(
    ("leak", "message"),
    [
        ("tasks.append(asyncio.create_task(asyncio.sleep(9), name='x'))", "*still running*sleep*"),
        ("tasks.append(open(__file__))", "*still open*"),
    ],
    ids=["task", "file"],
)
def test_leaks_are_failures(author: pytest.Pytester, leak: str, message: str) -> None:
    """What is open or runs after the backend has closed is told by name."""
    write(author, LEAKS.format(leak=leak))
    # In a process of its own: in this one, what it leaks would be found in the run of another test.
    done = author.runpytest_subprocess(*RUN, "-W", "default", "-k", "put_reads_back")
    done.stdout.fnmatch_lines([message])
    assert done.parseoutcomes()["errors"] == 1


def test_a_wrong_count_is_an_error_after_the_test(author: pytest.Pytester) -> None:
    """The audit runs after every test of a metadata store."""
    write(
        author,
        """
        from contextlib import asynccontextmanager
        from dataclasses import replace
        from msgspec.structs import replace as changed

        @asynccontextmanager
        async def open_drifting(options, context):
            async with MEMORY_METADATA.open(options, context) as store:
                claim, blobs = store.blobs.claim, store.rows.blobs

                async def claim_and_drift(**how):
                    claimed = await claim(**how)
                    for key, blob in blobs.items():
                        blobs[key] = changed(blob, ref_count=blob.ref_count + 1)
                    return claimed

                store.blobs.claim = claim_and_drift
                yield store

        class TestIt(MetadataStoreContract):
            backend = replace(MEMORY_METADATA, open=open_drifting)
        """,
    )
    done = author.runpytest_inprocess(*RUN, "-k", "test_young_garbage")
    done.stdout.fnmatch_lines(["*I3:*"])
    assert done.ret == pytest.ExitCode.TESTS_FAILED


HASHER = """
    from juststorage.plugins.builtin import SHA256
    from juststorage.testing import HasherContract, PluginContract

    class TestIt(HasherContract):
        backend = SHA256
        vectors = {b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
        known_failures = {"test_states_are_apart": "issue 41"}

        async def test_states_are_apart(self, hasher):
            assert False

        async def test_many_threads_at_once(self, hasher):
            assert False

        async def test_of_the_author(self, hasher):
            assert False
"""


@pytest.mark.parametrize("processes", [(), ("-n", "1", "-p", "juststorage.testing.fixtures")])
def test_a_summary_to_publish(author: pytest.Pytester, processes: tuple[str, ...]) -> None:
    """Each contract has a line that counts its own tests only, whatever process ran them."""
    write(author, HASHER)
    quiet = ("-p", "no:cacheprovider", "-p", "no:cov", "-q")
    done = author.runpytest_subprocess(*quiet, *processes)
    done.stdout.fnmatch_lines(
        [
            "*- the rule -*",
            "HasherContract.test_many_threads_at_once: States in several threads at once do not*",
            "*= juststorage conformance, juststorage-core * =*",
            "hasher:sha256, TestIt  HasherContract: 11 of 13 required, 1 known failures",
        ]
    )
    done.assert_outcomes(failed=2, xfailed=1, passed=11)


def test_a_summary_of_a_part_says_so(author: pytest.Pytester) -> None:
    """What was deselected is not taken for passed; a run without contracts has no summary."""
    write(author, HASHER + "\n    def test_other():\n        pass\n")
    done = author.runpytest_inprocess(*RUN, "-k", "published")
    done.stdout.fnmatch_lines(
        ["hasher:sha256, TestIt  HasherContract: 1 of 1 required", "Not all*"]
    )
    done = author.runpytest_inprocess(*RUN, "-k", "test_other")
    done.stdout.no_fnmatch_line("*conformance*")
