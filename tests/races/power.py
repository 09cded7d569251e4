"""`localfs` on a filesystem of the test's choosing, such as one that forgets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from juststorage.plugins import BlobStoreBackend, OpenContext, hookimpl
from juststorage.ports import BlobStore
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._opening import open_store
from juststorage_localfs.plugin import LOCALFS, LocalFSOptions
from juststorage_localfs.testing import ForgetfulOps

__all__ = ["ForgetfulOps", "LocalFSOn"]


class LocalFSOn:
    """A plugin: `localfs` on a filesystem of the test's choosing, as the backend `watched`."""

    def __init__(self, ops: Callable[[OpenContext], FsOps]) -> None:
        self._ops = ops

    @asynccontextmanager
    async def _open(
        self, options: LocalFSOptions, context: OpenContext
    ) -> AsyncIterator[BlobStore]:
        async with open_store(options, context, ops=self._ops(context)) as store:
            yield store

    @hookimpl
    def juststorage_blob_stores(self) -> Iterable[BlobStoreBackend[LocalFSOptions]]:
        """Offer it."""
        yield BlobStoreBackend(
            name="watched",
            summary="localfs on a filesystem of the test's choosing",
            options=LocalFSOptions,
            open=self._open,
            capabilities=LOCALFS.capabilities,
        )
