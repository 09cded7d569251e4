"""Opening a store: what can be refused is refused here, before the first upload."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from juststorage.errors import Misconfigured, StorageFull, Unavailable
from juststorage.plugins import OpenContext
from juststorage_objectstore._bucket import Bucket
from juststorage_objectstore._calls import Calls
from juststorage_objectstore._errors import NoBucket, Refused
from juststorage_objectstore._multiparts import find_multiparts
from juststorage_objectstore._options import ObjectStoreOptions
from juststorage_objectstore._settings import make_store
from juststorage_objectstore._store import ObjectBlobStore

__all__ = ["open_store"]


@asynccontextmanager
async def open_store(
    options: ObjectStoreOptions, context: OpenContext
) -> AsyncIterator[ObjectBlobStore]:
    """Prove that the bucket can be written and read, and serve it until the block is left.

    Raises:
        Misconfigured: It can never work with these options, in one sentence for the operator.
        Unavailable: The store does not answer.
    """
    assert context.storage_class is not None, "a blob store serves a storage class"
    where = f"{context.instance}: {options.url}"
    try:
        client = make_store(options)
        calls = Calls(options, context)
        multiparts = find_multiparts(options, calls)
    except Misconfigured as error:
        raise Misconfigured(f"{context.instance}: {error}") from error.__cause__
    bucket = Bucket(client, calls, deadline_s=options.deadline_s)
    store = ObjectBlobStore(bucket, multiparts, options, context.storage_class, context.clock)
    try:
        await store.probe()
    except NoBucket as error:
        raise Misconfigured(f"{where}: the bucket does not exist; make it first") from error
    except Refused as error:
        raise Misconfigured(
            f"{where}: access is refused; look at the credentials, and at what they may do"
        ) from error
    except StorageFull:
        # What is there can be read and removed all the same, and removal is what helps.
        context.logger.warning("the object store is full; uploads are refused until it is not")
    except Unavailable as error:
        raise Unavailable(f"{where}: {error}; look at endpoint, region and network") from error
    yield store
