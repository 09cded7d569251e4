"""What all guards are made of: see `_guards`."""

from __future__ import annotations

import functools
import inspect
import logging
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar, cast

from juststorage.errors import BackendError, JustStorageError
from juststorage.plugins._descriptors import NO_CAPABILITIES, BlobCapabilities

__all__ = ["Closing", "Guard", "Where", "guard", "guarded_parts", "unwrap"]

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


class Guard:
    """The base of all guards. A subclass names its port as its second base.

    For each public method of the port that the subclass does not define itself, it gets one that
    calls the backend's and translates what that raises. For each annotated attribute it gets a view
    of the backend's; one that is a port itself is guarded as well.
    """

    ports: ClassVar[dict[type, type[Guard]]] = {}
    _parts: ClassVar[dict[str, type[Guard]]] = {}

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
        # `Closing` counts, the port does not.
        own = {name for base in cls.__mro__ if issubclass(base, Guard) for name in vars(base)}
        hints = typing.get_type_hints(port)
        cls._parts = {name: cls.ports[kind] for name, kind in hints.items() if kind in cls.ports}
        for name in hints:
            if name not in cls._parts and name not in own:
                setattr(cls, name, _view(name))
        for name, member in vars(port).items():
            if not name.startswith("_") and inspect.isfunction(member) and name not in own:
                wrap = cls.ports.get(typing.get_type_hints(member).get("return", object))
                make = _async_method if inspect.iscoroutinefunction(member) else _sync_method
                # updated=(): the mark of an abstract method is among what it would copy.
                dressed = functools.wraps(member, updated=())(make(name, wrap))
                setattr(cls, name, dressed)
        cls.ports[port] = cls

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


def _async_method(name: str, wrap: type[Guard] | None) -> Callable[..., Any]:
    # Not by way of `_call`: this is every call of every request, and a frame is a third of it.
    async def call(self: Guard, *args: Any, **kwargs: Any) -> Any:
        try:
            result = await getattr(self._inner, name)(*args, **kwargs)
        except JustStorageError:
            raise
        except Exception as error:
            raise self._where.broken(name) from error
        return result if wrap is None else wrap(result, self._where)

    return call


def _sync_method(name: str, wrap: type[Guard] | None) -> Callable[..., Any]:
    def call(self: Guard, *args: Any, **kwargs: Any) -> Any:
        result = self._call_now(name, *args, **kwargs)
        return result if wrap is None else wrap(result, self._where)

    return call


def _view(name: str) -> property:
    def read(self: Guard) -> Any:
        return getattr(self._inner, name)

    return property(read)


class Closing(Guard):
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


def guard(service: ServiceT, port: type[Any], where: Where) -> ServiceT:
    """The guarded form of a service, which is an instance of `port` too."""
    return cast("ServiceT", Guard.ports[port](service, where))


def guarded_parts(service: Any) -> list[tuple[str, Any]]:
    """What of a guarded service is a guarded service itself, by its attribute."""
    return [(name, getattr(service, name)) for name in service._parts]  # noqa: SLF001  our own


def unwrap(service: ServiceT) -> ServiceT:
    """The backend's own object behind a guard; anything else is returned as it is. For tests."""
    if isinstance(service, Guard):
        return cast("ServiceT", service._inner)  # noqa: SLF001  our own
    return service
