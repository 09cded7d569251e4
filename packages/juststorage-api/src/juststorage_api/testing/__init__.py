"""A whole service inside a test: no socket, no file, nothing left behind.

    # conftest.py
    pytest_plugins = ["juststorage_api.testing.fixtures"]

    async def test_my_application(storage: InProcess) -> None:
        async with storage.client() as client:
            await client.put("/v1/objects/by-key/docs/acme/a.txt", content=b"hello")

Without pytest, or with other plugins than those in memory, `open_in_process` does the same. Install
the extra `juststorage-api[testing]`.
"""

from __future__ import annotations

from juststorage_api.testing._in_process import InProcess, open_in_process

__all__ = ["InProcess", "open_in_process"]
