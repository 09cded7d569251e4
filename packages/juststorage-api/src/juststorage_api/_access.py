"""Who may do what: every decision about access that HTTP takes is on this page.

- Each call needs one scope (`NEEDS`); `admin` implies all.
- A call acts for one tenant: the one it names, which the caller must hold (403 `tenant_forbidden`),
  or the only one that the caller holds (400 where there are several).
- A caller that is confined to namespaces and names another one is refused like one that names a
  foreign tenant: 403 `tenant_forbidden`. What it names it knows already, so nothing is given away.
- An object that is found by id in another tenant or namespace is 404, as one that never existed:
  the use cases see to that, given `tenant_id` and `namespaces`.
- A list or a search without a namespace shows those that the caller holds.
- A copy needs the scope to read its source and the one to write the copy.
- API keys are no tenant's: `ManageApiKeys` shows and changes those whose tenants, namespaces and
  scopes are all within the caller's own, and answers 404 for the others.
- The collector and the plugins are no tenant's either: the scope `admin` is enough, whatever
  tenants come with it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from juststorage.domain import Namespace, Principal, Scope, TenantId
from juststorage.errors import ScopeMissing, TenantForbidden, Unauthenticated

__all__ = [
    "ANONYMOUS",
    "NEEDS",
    "OPERATIONS",
    "Call",
    "held_namespace",
    "require",
    "tenant_for",
    "told",
]


class Call(Enum):
    """What a client may ask for under /v1."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    READ_METADATA = "read metadata"
    LIST = "list"
    SEARCH = "search"
    USAGE = "usage"
    CHANGE = "change"
    COPY_FROM = "copy from"
    COPY_TO = "copy to"
    DELETE = "delete"
    CREATE_API_KEY = "create API key"
    LIST_API_KEYS = "list API keys"
    READ_API_KEY = "read API key"
    CHANGE_API_KEY = "change API key"
    REVOKE_API_KEY = "revoke API key"
    READ_COLLECTOR = "read collector"
    COLLECT = "collect"
    READ_PLUGINS = "read plugins"
    READ_SWITCH = "read the read-only switch"
    SWITCH = "switch read-only mode"


NEEDS: Final = {
    Call.UPLOAD: Scope.OBJECTS_WRITE,
    Call.DOWNLOAD: Scope.OBJECTS_READ,
    Call.READ_METADATA: Scope.OBJECTS_READ,
    Call.LIST: Scope.OBJECTS_READ,
    Call.SEARCH: Scope.OBJECTS_READ,
    Call.USAGE: Scope.OBJECTS_READ,
    Call.CHANGE: Scope.OBJECTS_WRITE,
    Call.COPY_FROM: Scope.OBJECTS_READ,
    Call.COPY_TO: Scope.OBJECTS_WRITE,
    Call.DELETE: Scope.OBJECTS_DELETE,
    Call.CREATE_API_KEY: Scope.KEYS_MANAGE,
    Call.LIST_API_KEYS: Scope.KEYS_MANAGE,
    Call.READ_API_KEY: Scope.KEYS_MANAGE,
    Call.CHANGE_API_KEY: Scope.KEYS_MANAGE,
    Call.REVOKE_API_KEY: Scope.KEYS_MANAGE,
    Call.READ_COLLECTOR: Scope.ADMIN,
    Call.COLLECT: Scope.ADMIN,
    Call.READ_PLUGINS: Scope.ADMIN,
    Call.READ_SWITCH: Scope.ADMIN,
    Call.SWITCH: Scope.ADMIN,
}

OPERATIONS: Final[dict[str, tuple[Call, ...]]] = {
    "createObject": (Call.UPLOAD,),
    "putObjectByKey": (Call.UPLOAD,),
    "getObject": (Call.DOWNLOAD,),
    "headObject": (Call.DOWNLOAD,),
    "getObjectByKey": (Call.DOWNLOAD,),
    "headObjectByKey": (Call.DOWNLOAD,),
    "deleteObject": (Call.DELETE,),
    "deleteObjectByKey": (Call.DELETE,),
    "listObjects": (Call.LIST,),
    "getObjectMetadata": (Call.READ_METADATA,),
    "searchObjects": (Call.SEARCH,),
    "getUsage": (Call.USAGE,),
    "changeObject": (Call.CHANGE,),
    "copyObject": (Call.COPY_FROM, Call.COPY_TO),
    "deleteObjects": (Call.DELETE,),
    "createUpload": (Call.UPLOAD,),
    "headUpload": (Call.UPLOAD,),
    "appendToUpload": (Call.UPLOAD,),
    "giveUpUpload": (Call.UPLOAD,),
    "createApiKey": (Call.CREATE_API_KEY,),
    "listApiKeys": (Call.LIST_API_KEYS,),
    "getApiKey": (Call.READ_API_KEY,),
    "changeApiKey": (Call.CHANGE_API_KEY,),
    "revokeApiKey": (Call.REVOKE_API_KEY,),
    "getCollector": (Call.READ_COLLECTOR,),
    "collectGarbage": (Call.COLLECT,),
    "listPlugins": (Call.READ_PLUGINS,),
    "getReadOnly": (Call.READ_SWITCH,),
    "setReadOnly": (Call.SWITCH,),
}
"""What each operation of the OpenAPI document asks for. The document tells clients its scopes, and
the test of access takes every operation and its scopes from there: one that is missing here fails
that test."""

_BEYOND: Final = (ScopeMissing, TenantForbidden)

ANONYMOUS: Final = "anonymous"
"""The subject of callers without a credential, where the service has public namespaces."""


def told(caller: Principal | None, error: Exception) -> Exception:
    """A refusal as the caller should hear it: one without a credential is asked for one."""
    if caller is not None and caller.subject == ANONYMOUS and isinstance(error, _BEYOND):
        return Unauthenticated("this call needs a credential")
    return error


def require(caller: Principal, call: Call) -> None:
    """Let `caller` make a `call` that acts for no tenant, or whose tenant is in a body to come.

    Raises:
        ScopeMissing: The caller lacks the scope.
    """
    caller.require_scope(NEEDS[call])


def tenant_for(caller: Principal, call: Call, named: str | TenantId | None) -> TenantId:
    """The tenant that `caller` makes `call` for.

    Raises:
        ScopeMissing: The caller lacks the scope.
        TenantForbidden: The caller does not hold the named tenant.
        InvalidName: The named tenant is no tenant id.
        Invalid: None is named, and the caller holds several.
    """
    caller.require_scope(NEEDS[call])
    if named is not None and not isinstance(named, TenantId):
        named = TenantId(named)
    return caller.resolve_tenant(named)


def held_namespace(caller: Principal, named: str | Namespace) -> Namespace:
    """The namespace that a call names.

    Raises:
        InvalidName: It is no namespace.
        TenantForbidden: The caller is confined to others.
    """
    namespace = named if isinstance(named, Namespace) else Namespace(named)
    if not caller.holds_namespace(namespace):
        raise TenantForbidden("this credential does not hold that namespace")
    return namespace
