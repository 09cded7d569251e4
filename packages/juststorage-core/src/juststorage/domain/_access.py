"""Who is calling, and what they may do. Every decision about access is taken here."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from juststorage.domain._names import (
    Namespace,
    NamespacePattern,
    TenantId,
    is_within,
    within_all,
)
from juststorage.errors import Invalid, ScopeMissing, TenantForbidden

__all__ = ["Principal", "Scope"]


class Scope(StrEnum):
    """What a principal may do to the tenants that it holds."""

    OBJECTS_READ = "objects:read"
    OBJECTS_WRITE = "objects:write"
    OBJECTS_DELETE = "objects:delete"
    KEYS_MANAGE = "keys:manage"
    ADMIN = "admin"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller.

    Args:
        subject: Who it is, for logs and audit: `api_key:<id>`, or a token's subject.
        tenants: The tenants it acts for; None means every tenant.
        scopes: What it may do. `admin` implies every scope.
        namespaces: The namespaces, or prefixes of them, that it is confined to; None means all.
    """

    subject: str
    tenants: frozenset[TenantId] | None
    scopes: frozenset[Scope]
    namespaces: frozenset[NamespacePattern] | None = None

    def require_scope(self, scope: Scope) -> None:
        """Refuse unless the principal holds `scope`.

        Raises:
            ScopeMissing: It does not; `fields["scope"]` names what is missing.
        """
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            raise ScopeMissing(f"this call needs the scope {scope}", scope=str(scope))

    def holds_tenant(self, tenant_id: TenantId) -> bool:
        """Whether the principal may act for the tenant."""
        return self.tenants is None or tenant_id in self.tenants

    def holds_tenants(self, tenants: frozenset[TenantId] | None) -> bool:
        """Whether the principal may act for each of them; None means all tenants."""
        return self.tenants is None or (tenants is not None and tenants <= self.tenants)

    def holds_namespace(self, namespace: Namespace) -> bool:
        """Whether the principal may see the namespace."""
        return is_within(namespace, self.namespaces)

    def holds(
        self,
        *,
        tenants: frozenset[TenantId] | None,
        scopes: frozenset[Scope],
        namespaces: frozenset[NamespacePattern] | None,
    ) -> bool:
        """Whether all of this is its own: what it may see of other credentials, and hand on."""
        return (
            self.holds_tenants(tenants)
            and (Scope.ADMIN in self.scopes or scopes <= self.scopes)
            and within_all(namespaces, self.namespaces)
        )

    def resolve_tenant(self, named: TenantId | None) -> TenantId:
        """The tenant that a call acts for: the one it names, or the only one held.

        Raises:
            TenantForbidden: The named tenant is not held.
            Invalid: None is named, and the principal holds several or all.
        """
        if named is not None:
            if not self.holds_tenant(named):
                raise TenantForbidden("this credential does not hold that tenant")
            return named
        if self.tenants is not None and len(self.tenants) == 1:
            return next(iter(self.tenants))
        raise Invalid("tenant_id is required: this credential holds more than one tenant")
