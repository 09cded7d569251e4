"""ContentCache: small contents that were read lately, by their hash.

A content hash names the same bytes for ever, so nothing here can be out of date. Whether an object
exists, and who may read it, is not here: that is asked of the metadata store before.
"""

from __future__ import annotations

from collections import OrderedDict

from juststorage.domain import ContentHash

__all__ = ["ContentCache"]


class ContentCache:
    """The contents that were used last, up to a sum of bytes. For one event loop.

    Args:
        bytes_max: Sum of the contents that are kept; 0 keeps none.
    """

    __slots__ = ("_bytes", "_bytes_max", "_contents")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._contents: OrderedDict[ContentHash, bytes] = OrderedDict()

    def get(self, content_hash: ContentHash) -> bytes | None:
        """The content, if it is here."""
        data = self._contents.get(content_hash)
        if data is not None:
            self._contents.move_to_end(content_hash)
        return data

    def add(self, content_hash: ContentHash, data: bytes) -> None:
        """Keep a content that has been verified; what was used longest ago goes for it."""
        if len(data) > self._bytes_max or content_hash in self._contents:
            return
        self._contents[content_hash] = data
        self._bytes += len(data)
        while self._bytes > self._bytes_max:
            _, dropped = self._contents.popitem(last=False)
            self._bytes -= len(dropped)
