"""Every limit of the domain, as a named constant with its unit.

Configuration may lower some of them; nothing raises them, because stored data and clients rely on
them.
"""

from __future__ import annotations

from typing import Final

NAME_LENGTH_MAX: Final = 128
"""Characters of a namespace or a tenant id."""

KEY_BYTES_MAX: Final = 1024
"""UTF-8 bytes of an object key."""

METADATA_BYTES_MAX: Final = 16 * 1024
"""Bytes of an object's metadata as compact JSON, and of the header that carries it."""

METADATA_DEPTH_MAX: Final = 32
"""Levels of nesting in metadata, the outermost object being the first."""

CONTENT_TYPE_LENGTH_MAX: Final = 255
"""Characters of a stored content type."""

OBJECT_BYTES_MAX: Final = 2**40
"""Bytes of one object's content: 1 TiB, the default and the ceiling of the upload limit."""

PAGE_SIZE_DEFAULT: Final = 50
"""Objects on a page when the caller does not say."""

PAGE_SIZE_MAX: Final = 1000
"""Objects on a page at most."""

BULK_IDS_MAX: Final = 1000
"""Ids in one bulk call."""

API_KEY_NAME_LENGTH_MAX: Final = 128
"""Characters of an API key's name."""
