"""How objects are named on the command line: `NAMESPACE/TENANT/KEY`, as in the URL, or `id:ID`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import click

__all__ = ["TARGET", "Place", "Target", "place_of"]

_ID = re.compile(r"id:([0-9a-f-]{36})(?:@(.+))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One object: by its key, or by its id.

    Args:
        object_id: The id; else namespace and key are there.
        tenant: Whose; None leaves it to the credential, which then must have one tenant.
    """

    namespace: str | None = None
    tenant: str | None = None
    key: str | None = None
    object_id: str | None = None

    @property
    def path(self) -> str:
        """The path of its URL."""
        if self.object_id is not None:
            return f"/v1/objects/{self.object_id}"
        assert self.key is not None, "it has an id or a key"
        return f"/v1/objects/by-key/{self.namespace}/{self.tenant}/{_escaped(self.key)}"

    @property
    def query(self) -> dict[str, str]:
        """The query of its URL."""
        if self.object_id is None or self.tenant is None:
            return {}
        return {"tenant_id": self.tenant}

    @property
    def by_key(self) -> bool:
        """Whether it is named by its key, which may come to hold another object."""
        return self.object_id is None

    @property
    def name(self) -> str:
        """What a file of it would be called; empty where its key ends with a slash."""
        return str(self.object_id or self.key).rpartition("/")[2]

    def with_id(self, object_id: str) -> Target:
        """The very object that is there now."""
        return replace(self, object_id=object_id)

    def __str__(self) -> str:
        if self.object_id is not None:
            return f"id:{self.object_id}"
        return f"{self.namespace}/{self.tenant}/{self.key}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where many objects are: a prefix of keys, maybe empty, maybe of every tenant or namespace."""

    namespace: str | None
    tenant: str | None
    prefix: str

    @property
    def query(self) -> dict[str, str]:
        """As parameters of a list."""
        named = {"namespace": self.namespace, "tenant_id": self.tenant, "prefix": self.prefix}
        return {name: text for name, text in named.items() if text}

    @property
    def directory(self) -> Place:
        """This with a prefix that ends with a slash, where it has one: what is below has paths."""
        ends = not self.prefix or self.prefix.endswith("/")
        return self if ends else replace(self, prefix=f"{self.prefix}/")

    def target(self, key: str) -> Target:
        """The object whose key is the prefix and this."""
        return Target(namespace=self.namespace, tenant=self.tenant, key=self.prefix + key)


def place_of(text: str, *, whole: bool = False) -> Place:
    """`[NAMESPACE[/TENANT[/PREFIX]]]`.

    Args:
        text: As typed.
        whole: Whether namespace and tenant must be there.

    Raises:
        click.UsageError: It is none.
    """
    namespace, _, rest = text.partition("/")
    tenant, _, prefix = rest.partition("/")
    if whole and not (namespace and tenant):
        raise click.UsageError(f"{text!r} does not name NAMESPACE/TENANT, maybe with /PREFIX.")
    for name in filter(None, (namespace, tenant)):
        _require_name(name)
    return Place(namespace or None, tenant or None, prefix)


class _TargetType(click.ParamType[Target]):
    name = "object"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Target:
        """`docs/acme/a/b.pdf`, `id:0190...`, or `id:0190...@acme`."""
        if match := _ID.fullmatch(value):
            return Target(object_id=match[1], tenant=match[2])
        namespace, _, rest = value.partition("/")
        tenant, _, key = rest.partition("/")
        if not (namespace and tenant and key):
            self.fail(f"{value!r} is neither NAMESPACE/TENANT/KEY nor id:ID[@TENANT]", param, ctx)
        for name in (namespace, tenant):
            _require_name(name)
        return Target(namespace=namespace, tenant=tenant, key=key)


TARGET = _TargetType()
"""The type of an argument that names one object."""


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} cannot be the name of a namespace or tenant.")


def _escaped(key: str) -> str:
    # Clients take `.` and `..` out of paths as if they led somewhere; here they are part of a name.
    segments = (
        segment.replace(".", "%2E") if segment in {".", ".."} else quote(segment, safe="")
        for segment in key.split("/")
    )
    return "/".join(segments)
