"""Opening and closing a runtime: order, failures, cancellation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from juststorage.domain import StorageClass
from juststorage.errors import BackendError, Unavailable
from juststorage.plugins import MetadataStoreBackend, NoOptions
from juststorage.ports import MetadataStore
from juststorage.runtime import SystemClock, open_runtime
from juststorage.runtime import _held as held

INSTANCES = ["metadata", "blobs.hot", "blobs.cold", "hasher", "gc", "auth.told"]
OPENED = [f"open {name}" for name in INSTANCES]
CLOSED = [f"close {name}" for name in reversed(INSTANCES)]


class TestOpen:
    async def test_services_open_in_order_and_close_in_reverse(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """Metadata opens first and closes last; authenticators the other way round."""
        async with open_runtime(config, plugins=[story], discover=False) as runtime:
            assert story.events == OPENED
            assert [each.instance for each in runtime.selected] == INSTANCES
            assert {each.backend for each in runtime.selected} == {"told"}
            assert set(runtime.blobs) == {StorageClass.HOT, StorageClass.COLD}
            assert runtime.blob_capabilities[StorageClass.COLD].trash
            assert len(runtime.authenticators) == 1
            assert list(runtime.hashers) == ["sha256"]
            assert runtime.hashers["sha256"] is runtime.hasher
            assert isinstance(runtime.clock, SystemClock)
        assert story.events == OPENED + CLOSED

    async def test_context_tells_a_backend_where_it_is(
        self, story: Any, config: dict[str, Any], tmp_path: Path
    ) -> None:
        """A backend gets its instance, storage class, directory and, for the chain, metadata."""
        config["data_dir"] = str(tmp_path)
        async with open_runtime(config, plugins=[story], discover=False) as runtime:
            contexts = story.contexts
            assert set(contexts) == set(INSTANCES)
            assert contexts["blobs.cold"].storage_class is StorageClass.COLD
            assert contexts["metadata"].storage_class is None
            assert contexts["auth.told"].metadata is runtime.metadata
            assert contexts["blobs.hot"].metadata is None
            assert contexts["metadata"].data_dir == tmp_path
            assert contexts["metadata"].logger.name == "juststorage.metadata"

    async def test_without_cold_backend_cold_is_not_offered(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """A storage class without a backend has no store."""
        del config["blobs"]["cold"]
        async with open_runtime(config, plugins=[story], discover=False) as runtime:
            assert set(runtime.blobs) == {StorageClass.HOT}

    async def test_hooks_are_not_called_once_it_is_open(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """Each hook is called exactly once, before anything opens."""
        async with open_runtime(config, plugins=[story], discover=False) as runtime:
            calls: list[str] = []
            manager = runtime.host.manager
            undo = manager.add_hookcall_monitoring(
                lambda name, methods, kwargs: calls.append(name),
                lambda outcome, name, methods, kwargs: None,
            )
            before = story.hook_calls
            assert before == 5
            upload = story.contexts["metadata"].clock.now()
            assert upload.tzinfo is not None
            digest = runtime.hasher.hash(b"x")
            assert await runtime.blobs[StorageClass.HOT].scan(after=None, limit=1) == []
            await runtime.readiness()
            runtime.host.load()
            assert (digest.algorithm, story.hook_calls, calls) == ("sha256", before, [])
            undo()

    async def test_installed_plugins_are_discovered(self) -> None:
        """Core's own backends are found through their entry points."""
        config = {
            "metadata": {"backend": "memory"},
            "blobs": {"hot": {"backend": "memory"}},
            "auth": {"chain": []},
        }
        async with open_runtime(config) as runtime:
            assert runtime.selected[0].distribution == "juststorage-core"


class TestFailures:
    @pytest.mark.parametrize("failing", INSTANCES)
    async def test_what_was_opened_is_closed(
        self, story: Any, raiser: Any, config: dict[str, Any], failing: str
    ) -> None:
        """When a backend cannot open, those before it close in reverse, and it cleans up first."""
        story.opening[failing] = raiser(Unavailable("no answer"))
        with pytest.raises(Unavailable, match="no answer"):
            async with open_runtime(config, plugins=[story], discover=False):
                pass
        before = INSTANCES[: INSTANCES.index(failing)]
        assert story.events == [
            *(f"open {name}" for name in before),
            f"close {failing}",
            *(f"close {name}" for name in reversed(before)),
        ]

    async def test_foreign_error_while_opening_is_a_backend_error(
        self, story: Any, raiser: Any, config: dict[str, Any]
    ) -> None:
        """What a backend's opening raises is mapped, with the backend named and the cause kept."""
        story.opening["blobs.hot"] = raiser(OSError("/secret"))
        with pytest.raises(BackendError) as caught:
            async with open_runtime(config, plugins=[story], discover=False):
                pass
        assert str(caught.value) == (
            "blobs.hot: the backend 'told' of"
            f" {type(story).__module__}:Story, given by the program could not be opened"
        )
        assert isinstance(caught.value.__cause__, OSError)

    async def test_open_that_is_no_context_manager_is_a_backend_error(
        self, config: dict[str, Any], story: Any, as_plugin: Callable[..., object]
    ) -> None:
        """A descriptor whose `open` answers with something else is the plugin's fault."""
        no_manager: Any = lambda options, context: None  # noqa: E731
        bad: Any = MetadataStoreBackend(
            name="bad", summary="Bad", options=NoOptions, open=no_manager
        )
        config["metadata"]["backend"] = "bad"
        plugin = as_plugin(juststorage_metadata_stores=[bad])
        with pytest.raises(BackendError, match="could not be opened"):
            async with open_runtime(config, plugins=[story, plugin], discover=False):
                pass

    async def test_wrong_kind_of_service_is_refused_and_closed(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """A service that is no instance of its port never reaches a use case."""
        story.services["blobs.hot"] = object()
        with pytest.raises(BackendError, match="opened a object instead of a BlobStore"):
            async with open_runtime(config, plugins=[story], discover=False):
                pass
        assert story.events[-2:] == ["close blobs.hot", "close metadata"]

    async def test_hasher_with_an_impossible_name_is_refused(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """A hasher that cannot name content is refused before it names any."""
        from juststorage.ports import Hasher

        class Bad(Hasher):
            algorithm = "SHA-1"

            def new(self) -> Any:
                import hashlib

                return hashlib.sha256()

        story.services["hasher"] = Bad()
        with pytest.raises(BackendError, match="makes names that are no content hashes"):
            async with open_runtime(config, plugins=[story], discover=False):
                pass

        class Two(Bad):
            algorithm = "sha256"

            def hash(self, data: Any) -> Any:
                from juststorage.domain import ContentHash

                return ContentHash.of("blake3", bytes(32))

        story.services["hasher"] = Two()
        with pytest.raises(BackendError, match="of another algorithm than it says"):
            async with open_runtime(config, plugins=[story], discover=False):
                pass

    async def test_error_of_the_block_is_raised_as_it_is(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """What the caller's block raises comes out unwrapped, after everything is closed."""
        with pytest.raises(KeyError):
            async with open_runtime(config, plugins=[story], discover=False):
                raise KeyError
        assert story.events == OPENED + CLOSED

    async def test_failing_close_does_not_stop_the_others(
        self, story: Any, raiser: Any, config: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Every service is closed; the first failure is raised, each is logged."""
        story.closing["auth.told"] = raiser(OSError("first"))
        story.closing["metadata"] = raiser(OSError("second"))
        with pytest.raises(BackendError, match=r"^auth.told: .* could not be closed$"):
            async with open_runtime(config, plugins=[story], discover=False):
                pass
        assert "close blobs.hot" in story.events
        assert caplog.text.count("a backend did not close") == 2

    async def test_block_s_error_wins_over_a_failing_close(
        self, story: Any, raiser: Any, config: dict[str, Any]
    ) -> None:
        """The caller's own error is not hidden by one of the closing."""
        story.closing["metadata"] = raiser(OSError("second"))
        with pytest.raises(KeyError):
            async with open_runtime(config, plugins=[story], discover=False):
                raise KeyError

    async def test_close_that_hangs_is_cancelled(
        self,
        story: Any,
        config: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A service that does not close in time is cancelled, and the others still close."""
        monkeypatch.setattr(held, "CLOSE_TIMEOUT_S", 0.01)
        story.closing["blobs.hot"] = anyio.sleep_forever
        with pytest.raises(BackendError, match=r"^blobs.hot: .* could not be closed$") as caught:
            async with open_runtime(config, plugins=[story], discover=False):
                pass
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert story.events[-1] == "close metadata"


class TestCancellation:
    async def test_cancelled_block_closes_in_full(self, story: Any, config: dict[str, Any]) -> None:
        """Closing is not cancelled with the caller: it may await."""
        story.closing["metadata"] = anyio.lowlevel.checkpoint
        with anyio.CancelScope() as scope:
            async with open_runtime(config, plugins=[story], discover=False):
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert story.events == OPENED + CLOSED

    async def test_cancelled_opening_is_undone(self, story: Any, config: dict[str, Any]) -> None:
        """Only the backend that is opening is cancelled; those that are open close in full."""
        reached = anyio.Event()

        async def hang() -> None:
            reached.set()
            await anyio.sleep_forever()

        story.opening["blobs.cold"] = hang
        story.closing["metadata"] = anyio.lowlevel.checkpoint

        async def use() -> None:
            async with open_runtime(config, plugins=[story], discover=False):
                raise AssertionError("it cannot open")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            await reached.wait()
            tasks.cancel_scope.cancel()
        assert story.events == [
            "open metadata",
            "open blobs.hot",
            "close blobs.cold",
            "close blobs.hot",
            "close metadata",
        ]

    async def test_cancelled_in_the_moment_of_opening_is_closed(
        self, story: Any, config: dict[str, Any]
    ) -> None:
        """A service that opened just when the caller was cancelled is closed, not forgotten."""
        scope = anyio.CancelScope()

        async def cancel() -> None:
            scope.cancel()

        story.opening["metadata"] = cancel
        with scope, anyio.fail_after(10):
            async with open_runtime(config, plugins=[story], discover=False):
                raise AssertionError("the caller is cancelled")
        assert story.events[0] == "open metadata"
        assert story.events[-1] == "close metadata"

    async def test_service_that_falls_over_is_fatal(
        self, story: Any, config: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        """A backend whose own task group crashes is noticed, and the process is told."""
        from contextlib import asynccontextmanager

        crash = anyio.Event()
        fatal: list[str] = []
        told = anyio.Event()

        class Crashing(type(story)):  # type: ignore[misc]
            def open(self, inner: Any) -> Any:
                opened = super().open(inner)

                @asynccontextmanager
                async def with_tasks(options: Any, context: Any) -> Any:
                    async def work() -> None:
                        await crash.wait()
                        raise OSError("disk")

                    async with opened(options, context) as service:
                        if context.instance != "metadata":
                            yield service
                            return
                        async with anyio.create_task_group() as tasks:
                            tasks.start_soon(work)
                            yield service

                return with_tasks

        def on_fatal(reason: str) -> None:
            fatal.append(reason)
            told.set()
            raise RuntimeError("a bug of the caller's")

        async def use() -> None:
            async with open_runtime(
                config, plugins=[Crashing()], discover=False, on_fatal=on_fatal
            ) as runtime:
                crash.set()
                await told.wait()
                bad = [part for part in await runtime.readiness() if not part.ok]
                assert [(each.name, each.detail) for each in bad] == [
                    ("metadata", "ended by itself")
                ]

        with pytest.raises(BackendError, match=r"^metadata: .* could not be closed$"):
            await use()
        assert fatal == ["metadata: the backend 'told' ended by itself"]
        assert "on_fatal failed" in caplog.text


def test_guarded_metadata_is_a_port() -> None:
    """The guard's type is the port's: use cases cannot tell the difference."""
    from juststorage.plugins._guards import Where, guard

    class Store:
        objects = blobs = api_keys = usage = idempotency = tallies = audit = backups = None

    made: Any = guard(Store(), MetadataStore, Where("metadata", None))
    assert isinstance(made, MetadataStore)


async def test_system_clock_is_aware_and_monotonic() -> None:
    """The machine's clock gives UTC, never goes back, and waits."""
    clock = SystemClock()
    assert clock.now().utcoffset() is not None
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before


def test_log_names_are_quiet() -> None:
    """Importing the runtime sets up no logging of its own."""
    assert logging.getLogger("juststorage.runtime").handlers == []
