"""The plugin `core`: the hasher and the collection policies that every installation has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from juststorage.plugins._context import OpenContext
from juststorage.plugins._descriptors import GCPolicyBackend, HasherBackend, NoOptions
from juststorage.plugins._markers import hookimpl
from juststorage.plugins.builtin._age import AgeOptions, AgePolicy
from juststorage.plugins.builtin._min_free import MinFreeOptions, MinFreePolicy
from juststorage.plugins.builtin._sha256 import Sha256Hasher
from juststorage.ports import GCPolicy, Hasher

__all__ = ["AGE", "MIN_FREE", "SHA256", "AgeOptions", "MinFreeOptions"]


@asynccontextmanager
async def _open_sha256(options: NoOptions, context: OpenContext) -> AsyncIterator[Hasher]:
    yield Sha256Hasher()


@asynccontextmanager
async def _open_age(options: AgeOptions, context: OpenContext) -> AsyncIterator[GCPolicy]:
    yield AgePolicy(options)


@asynccontextmanager
async def _open_min_free(options: MinFreeOptions, context: OpenContext) -> AsyncIterator[GCPolicy]:
    yield MinFreePolicy(options)


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

MIN_FREE = GCPolicyBackend(
    name="min_free",
    summary="Keeps garbage until room on its volume is short, then collects the oldest",
    options=MinFreeOptions,
    open=_open_min_free,
)


@hookimpl
def juststorage_hashers() -> Iterable[HasherBackend[NoOptions]]:
    """Offer SHA-256."""
    yield SHA256


@hookimpl
def juststorage_gc_policies() -> Iterable[GCPolicyBackend[Any]]:
    """Offer collection by age, and by need."""
    yield AGE
    yield MIN_FREE
