"""Guards: what stands between core and a backend that someone else wrote.

A guard is an instance of the same port that hands every call on, and promises what the port
promises: no exception outside `juststorage.errors` (and no swallowed cancellation), no operation
that the backend does not declare, and bytes that add up.

The methods are not written by hand: a guard class takes them from the port that it implements, so
that a method added to a port is guarded the moment it exists. By hand is only what checks more.
"""

from __future__ import annotations

import functools
import inspect
import logging
import typing
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar, cast

from juststorage.domain import ContentHash, Locator, Principal
from juststorage.errors import BackendError, Corrupt, JustStorageError, UnsupportedOperation
from juststorage.plugins._descriptors import NO_CAPABILITIES, BlobCapabilities
from juststorage.ports import (
    ApiKeyRepository,
    AuditRepository,
    Authenticator,
    BackupRepository,
    BlobReader,
    BlobRepository,
    BlobStore,
    Credentials,
    Decision,
    GarbageCandidate,
    GCPolicy,
    Hasher,
    HashState,
    IdempotencyRepository,
    MetadataStore,
    ObjectRepository,
    Snapshot,
    Space,
    StagedBlob,
    TallyRepository,
    TrashedBlob,
    UsageRepository,
)

__all__ = ["Where", "guard", "guarded_parts", "unwrap"]

ServiceT = TypeVar("ServiceT")

_log = logging.getLogger("juststorage.plugins")


@dataclass(frozen=True, slots=True)
class Where:
    """Whose service a guard guards."""

    instance: str
    distribution: str | None
    capabilities: BlobCapabilities = NO_CAPABILITIES

    def broken(self, method: str, what: str = "failed unexpectedly") -> BackendError:
        """The error for a breach of contract. Its text is safe to show; the cause says more."""
        return BackendError(
            f"{self.instance}: {method} {what}",
            plugin=self.instance,
            distribution=self.distribution,
        )


class _Guard:
    """The base of all guards. A subclass names its port as its second base.

    For each public method of the port that the subclass does not define itself, it gets one that
    calls the backend's and translates what that raises. For each annotated attribute it gets a view
    of the backend's; one that is a port itself is guarded as well.
    """

    _ports: ClassVar[dict[type, type[_Guard]]] = {}
    _parts: ClassVar[dict[str, type[_Guard]]] = {}

    def __init__(self, inner: Any, where: Where) -> None:
        self._inner = inner
        self._where = where
        for name, part in self._parts.items():
            setattr(self, name, part(getattr(inner, name), where))

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if len(cls.__bases__) == 1:
            return  # a base for guards of several ports
        port = cls.__bases__[1]
        # `_Closing` counts, the port does not.
        own = {name for base in cls.__mro__ if issubclass(base, _Guard) for name in vars(base)}
        hints = typing.get_type_hints(port)
        cls._parts = {name: cls._ports[kind] for name, kind in hints.items() if kind in cls._ports}
        for name in hints:
            if name not in cls._parts and name not in own:
                setattr(cls, name, _view(name))
        for name, member in vars(port).items():
            if not name.startswith("_") and inspect.isfunction(member) and name not in own:
                wrap = cls._ports.get(typing.get_type_hints(member).get("return", object))
                make = _async_method if inspect.iscoroutinefunction(member) else _sync_method
                # updated=(): the mark of an abstract method is among what it would copy.
                dressed = functools.wraps(member, updated=())(make(name, wrap))
                setattr(cls, name, dressed)
        cls._ports[port] = cls

    async def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return await getattr(self._inner, name)(*args, **kwargs)
        except JustStorageError:
            raise
        except Exception as error:
            raise self._where.broken(name) from error

    def _call_now(self, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(self._inner, name)(*args, **kwargs)
        except JustStorageError:
            raise
        except Exception as error:
            raise self._where.broken(name) from error

    def __repr__(self) -> str:
        return f"<guarded {self._inner!r}>"


def _async_method(name: str, wrap: type[_Guard] | None) -> Callable[..., Any]:
    # Not by way of `_call`: this is every call of every request, and a frame is a third of it.
    async def call(self: _Guard, *args: Any, **kwargs: Any) -> Any:
        try:
            result = await getattr(self._inner, name)(*args, **kwargs)
        except JustStorageError:
            raise
        except Exception as error:
            raise self._where.broken(name) from error
        return result if wrap is None else wrap(result, self._where)

    return call


def _sync_method(name: str, wrap: type[_Guard] | None) -> Callable[..., Any]:
    def call(self: _Guard, *args: Any, **kwargs: Any) -> Any:
        result = self._call_now(name, *args, **kwargs)
        return result if wrap is None else wrap(result, self._where)

    return call


def _view(name: str) -> property:
    def read(self: _Guard) -> Any:
        return getattr(self._inner, name)

    return property(read)


class _Closing(_Guard):
    """What is an async context manager. Its closing never raises: the port says so."""

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        except Exception as error:  # noqa: BLE001  the work is done; logged for the operator
            self._report(error)

    async def __aenter__(self) -> Self:
        await self._call("__aenter__")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._inner.__aexit__(kind, error, trace)
        except Exception as problem:  # noqa: BLE001  as in aclose
            if problem is not error:
                self._report(problem)

    def _report(self, error: Exception) -> None:
        _log.error("%s: closing failed", self._where.instance, exc_info=error)


class _ObjectRepositoryGuard(_Guard, ObjectRepository):
    pass


class _BlobRepositoryGuard(_Guard, BlobRepository):
    pass


class _ApiKeyRepositoryGuard(_Guard, ApiKeyRepository):
    pass


class _UsageRepositoryGuard(_Guard, UsageRepository):
    pass


class _IdempotencyRepositoryGuard(_Guard, IdempotencyRepository):
    pass


class _TallyRepositoryGuard(_Guard, TallyRepository):
    pass


class _AuditRepositoryGuard(_Guard, AuditRepository):
    pass


class _SnapshotGuard(_Closing, Snapshot):
    pass


class _BackupRepositoryGuard(_Guard, BackupRepository):
    pass


class _MetadataStoreGuard(_Guard, MetadataStore):
    pass


class _StagedBlobGuard(_Closing, StagedBlob):
    """Counts what is written, and believes the count."""

    _written = 0

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        size_bytes = data.nbytes if isinstance(data, memoryview) else len(data)
        await self._call("write", data)
        self._written += size_bytes

    async def write_parts(self, parts: Sequence[bytes]) -> None:
        await self._call("write_parts", parts)
        self._written += sum(map(len, parts))

    async def finish(self) -> None:
        await self._call("finish")
        if self._inner.size_bytes != self._written:
            raise Corrupt(
                f"{self._where.instance}: {self._written} bytes were written"
                f" and {self._inner.size_bytes} are staged"
            )


class _BlobReaderGuard(_Closing, BlobReader):
    """Counts what is read; asks for nothing that is not declared."""

    @property
    def local_path(self) -> str | None:  # type: ignore[override]
        path: str | None = self._inner.local_path
        return path if self._where.capabilities.local_path else None

    @property
    def from_memory(self) -> bool:  # type: ignore[override]
        return self._where.capabilities.identity and bool(self._inner.from_memory)

    def identity(self) -> str | None:
        if not self._where.capabilities.identity:
            return None
        identity = self._call_now("identity")
        if identity is not None and not isinstance(identity, str):
            raise self._where.broken("identity", f"answered with a {type(identity).__name__}")
        return identity

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        missing = length
        pieces: Any = self._call_now("chunks", start, length)
        try:
            async for piece in pieces:
                missing -= len(piece)
                if missing < 0:
                    break
                yield piece
        except JustStorageError:
            raise
        except Exception as error:
            raise self._where.broken("chunks") from error
        finally:
            # A reader who stops early must not leave the store's generator to the collector.
            if hasattr(pieces, "aclose"):
                try:
                    await pieces.aclose()
                except Exception as error:  # noqa: BLE001  as in aclose
                    self._report(error)
        if missing:
            word = "more" if missing < 0 else f"{missing} bytes fewer"
            raise Corrupt(f"{self._where.instance}: the blob has {word} than it should")

    def read_now(self, start: int, length: int) -> bytes | None:
        if not self._where.capabilities.read_now:
            return None
        data: bytes | None = self._call_now("read_now", start, length)
        if data is not None and len(data) != length:
            raise Corrupt(f"{self._where.instance}: read {len(data)} bytes instead of {length}")
        return data


class _BlobStoreGuard(_Guard, BlobStore):
    """Refuses what the store does not declare, and checks what it answers."""

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        return cast("Locator", await self._call("place", unwrap(staged), content_hash))

    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        failures: Any = await self._call("remove", locators)
        # A failure that cannot be told from a success would cost a blob its row.
        if not isinstance(failures, Mapping):
            raise self._where.broken("remove", f"answered with a {type(failures).__name__}")
        if not failures.keys() <= set(locators):
            raise self._where.broken("remove", "answered for what it was not asked to remove")
        return {locator: self._failure(failure) for locator, failure in failures.items()}

    def _failure(self, failure: Any) -> JustStorageError:
        if isinstance(failure, JustStorageError):
            return failure
        broken = self._where.broken("remove")
        broken.__cause__ = failure if isinstance(failure, BaseException) else None
        return broken

    async def restore(self, locator: Locator) -> bool:
        return bool(await self._with_trash("restore", locator))

    async def trash(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[TrashedBlob]:
        found = await self._with_trash("trash", older_than_s=older_than_s, limit=limit, after=after)
        return cast("list[TrashedBlob]", found)

    async def purge(self, trashed: Sequence[TrashedBlob]) -> None:
        await self._with_trash("purge", trashed)

    async def space(self) -> Space | None:
        if not self._where.capabilities.space:
            return None
        return cast("Space | None", await self._call("space"))

    async def _with_trash(self, method: str, *args: Any, **kwargs: Any) -> Any:
        if not self._where.capabilities.trash:
            raise UnsupportedOperation(f"{self._where.instance}: this blob store has no trash")
        return await self._call(method, *args, **kwargs)


class _HashStateGuard(_Guard, HashState):
    pass


class _HasherGuard(_Guard, Hasher):
    pass


class _GCPolicyGuard(_Guard, GCPolicy):
    """An answer that is no decision must not be taken for one."""

    def decide(self, candidate: GarbageCandidate, now: datetime) -> Decision:
        decision = self._call_now("decide", candidate, now)
        if not isinstance(decision, Decision):
            raise self._where.broken("decide", f"answered with a {type(decision).__name__}")
        return decision


class _AuthenticatorGuard(_Guard, Authenticator):
    """An answer that is no principal must not be taken for one."""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        principal = await self._call("authenticate", credentials)
        if principal is not None and not isinstance(principal, Principal):
            kind = type(principal).__name__
            raise self._where.broken("authenticate", f"answered with a {kind}")
        return principal


def guard(service: ServiceT, port: type[Any], where: Where) -> ServiceT:
    """The guarded form of a service, which is an instance of `port` too."""
    return cast("ServiceT", _Guard._ports[port](service, where))  # noqa: SLF001  our own


def guarded_parts(service: Any) -> list[tuple[str, Any]]:
    """What of a guarded service is a guarded service itself, by its attribute."""
    return [(name, getattr(service, name)) for name in service._parts]  # noqa: SLF001  our own


def unwrap(service: ServiceT) -> ServiceT:
    """The backend's own object behind a guard; anything else is returned as it is. For tests."""
    if isinstance(service, _Guard):
        return cast("ServiceT", service._inner)  # noqa: SLF001  our own
    return service
