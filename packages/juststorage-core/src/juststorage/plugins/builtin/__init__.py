"""The plugin `core`: the hasher and the collection policy that every installation has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from juststorage.plugins._context import OpenContext
from juststorage.plugins._descriptors import GCPolicyBackend, HasherBackend, NoOptions
from juststorage.plugins._markers import hookimpl
from juststorage.plugins.builtin._age import AgeOptions, AgePolicy
from juststorage.plugins.builtin._sha256 import Sha256Hasher
from juststorage.ports import GCPolicy, Hasher

__all__ = ["AGE", "SHA256", "AgeOptions"]


@asynccontextmanager
async def _open_sha256(options: NoOptions, context: OpenContext) -> AsyncIterator[Hasher]:
    yield Sha256Hasher()


@asynccontextmanager
async def _open_age(options: AgeOptions, context: OpenContext) -> AsyncIterator[GCPolicy]:
    yield AgePolicy(options)


SHA256 = HasherBackend(
    name="sha256",
    summary="SHA-256 from OpenSSL, hardware-accelerated where the processor can",
    options=NoOptions,
    open=_open_sha256,
)

AGE = GCPolicyBackend(
    name="age",
    summary="Collects garbage once it is old enough, sooner where the volume is nearly full",
    options=AgeOptions,
    open=_open_age,
)


@hookimpl
def juststorage_hashers() -> Iterable[HasherBackend[NoOptions]]:
    """Offer SHA-256."""
    yield SHA256


@hookimpl
def juststorage_gc_policies() -> Iterable[GCPolicyBackend[AgeOptions]]:
    """Offer collection by age."""
    yield AGE
