"""Opening: what cannot work is refused here, where an operator reads it, not at the first upload."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import fsspec
from juststorage.errors import Misconfigured
from juststorage.plugins import OpenContext

from juststorage_fsspec._files import Files
from juststorage_fsspec._store import FsspecBlobStore
from juststorage_fsspec.plugin import FsspecOptions

__all__ = ["open_store"]


async def open_store(
    options: FsspecOptions, context: OpenContext, *, durable: bool
) -> FsspecBlobStore:
    """Find the filesystem, and try on it what the store needs."""
    arguments: dict[str, Any] = dict(options.storage)
    arguments |= {name: secret.reveal() for name, secret in options.secrets.items()}

    def opened() -> Files:
        filesystem, root = fsspec.core.url_to_fs(options.url, **arguments)
        protocols = filesystem.protocol
        if ("memory" in protocols) is durable:
            backend = "fsspec_memory" if durable else "fsspec"
            raise Misconfigured(f"{context.instance}.url: use the backend {backend!r} for it")
        files = Files(filesystem, root)
        files.prove()
        return files

    try:
        files = await anyio.to_thread.run_sync(opened)
    except Misconfigured:
        raise
    except Exception as error:
        # Of any filesystem, hence of any type. Its text may hold what is secret: cause, not detail.
        raise Misconfigured(
            f"{context.instance}: the filesystem cannot be used ({type(error).__name__})"
        ) from error
    return FsspecBlobStore(files, context.clock)
