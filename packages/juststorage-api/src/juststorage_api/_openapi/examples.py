"""One object, the same in every example of the document."""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "API_KEY",
    "API_KEY_ID",
    "API_KEY_SECRET",
    "COLLECTION",
    "COLLECTOR",
    "CONTENT_HASH",
    "ETAG",
    "NEXT_CURSOR",
    "NULL",
    "OBJECT",
    "OBJECT_ID",
    "PLUGIN",
    "REPR_DIGEST",
    "TICKET",
    "USAGE",
]

OBJECT_ID: Final = "01a21098-f290-7cc4-9518-d64de021c446"
CONTENT_HASH: Final = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
ETAG: Final = f'"{CONTENT_HASH}"'
NEXT_CURSOR: Final = (
    "BwgJCgsMDQ4PEBESExQVFlsxNzk1NTc0Nzg4NzUyNzE2LCIwMWEyMTA5OC1mMjkw"
    "LTdjYzQtOTUxOC1kNjRkZTAyMWM0NDYiXQ"
)
REPR_DIGEST: Final = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"
TICKET: Final = (
    "BwgJCgsMDQ4PEBESExQVFlsiMDFhMjEwOTgtZjI5MC03Y2M0LTk1MTgtZDY0ZGUwMjFjNDQ2"
    "IiwxLCIyMDI2LTExLTI1VDAyOjQ2OjI4Ljc1MjcxNloiLCJtb2RlbHMiLCJhY21lIiwiYmVy"
    "dC93ZWlnaHRzLmJpbiIsImhvdCIsdHJ1ZSxudWxsLG51bGwsNSxbXV0"
)

NULL: Final = "-null-"
"""Stands for null in examples of answers: the framework drops members that are None."""

OBJECT: Final[dict[str, Any]] = {
    "id": OBJECT_ID,
    "namespace": "models",
    "tenant_id": "acme",
    "key": "bert/weights.bin",
    "status": "COMMITTED",
    "storage_class": "hot",
    "content_hash": CONTENT_HASH,
    "size_bytes": 5,
    "content_type": "application/octet-stream",
    "metadata": {"owner": "ml-team"},
    "created_at": "2026-11-25T02:46:28.752716Z",
    "updated_at": "2026-11-25T02:46:28.760041Z",
}
"""Content: the five bytes `hello`."""

API_KEY_ID: Final = "01a211b6-ef35-7075-afa7-9ac1b6726a5a"
API_KEY_SECRET: Final = "js_1cywp56mymgc_3Jm0-HjVpRkq0Qe1f2X8c7a5S9dBwTnYuLzKxEoGiM4"  # noqa: S105  an example

API_KEY: Final[dict[str, Any]] = {
    "id": API_KEY_ID,
    "name": "ci of the ml team",
    "prefix": "js_1cywp56mymgc",
    "tenants": ["acme"],
    "namespaces": ["team-*"],
    "scopes": ["objects:read", "objects:write"],
    "created_at": "2026-11-25T02:46:28.752716Z",
    "expires_at": "2027-11-25T00:00:00Z",
    "last_used_at": "2026-11-25T09:12:03.118402Z",
    "is_active": True,
}

COLLECTION: Final[dict[str, Any]] = {
    "dry_run": False,
    "started_at": "2026-11-25T02:46:28.752716Z",
    "finished_at": "2026-11-25T02:46:28.911345Z",
    "reaped": 0,
    "claimed": 12,
    "removed": 12,
    "bytes_removed": 49152,
    "restored": 0,
    "purged": 7,
    "swept": 1,
    "errors": 0,
    "more": False,
}

COLLECTOR: Final[dict[str, Any]] = {
    "enabled": True,
    "policy": "age",
    "interval_s": 60.0,
    "grace_s": 3600.0,
    "trash_retention_s": 86400.0,
    "due": {"blobs": 12, "bytes": 49152},
    "without_references": {"blobs": 15, "bytes": 61440},
    "more": False,
}

USAGE: Final[dict[str, Any]] = {
    "tenant_id": "acme",
    "namespace": "models",
    "objects": 2,
    "logical_bytes": 10,
    "physical_bytes": 5,
    "by": [
        {
            "namespace": "models",
            "storage_class": "hot",
            "objects": 2,
            "logical_bytes": 10,
            "physical_bytes": 5,
        }
    ],
}

PLUGIN: Final[dict[str, Any]] = {
    "name": "localfs",
    "distribution": "juststorage-localfs",
    "version": "0.1.0",
    "target": "juststorage_localfs.plugin",
    "status": "active",
    "reason": NULL,
    "provides": ["blob_store:localfs"],
    "selected": ["blobs.hot", "blobs.cold"],
}
