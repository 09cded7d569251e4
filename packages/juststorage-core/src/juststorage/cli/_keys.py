"""`juststorage keys`: API keys, for the operator at the machine, who may do everything."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import anyio
import click

from juststorage.cli._json import json_option, print_json, so_far
from juststorage.cli._options import ConfigSource, config_options
from juststorage.cli._tables import table
from juststorage.config import Config
from juststorage.domain import ApiKey, NamespacePattern, ObjectId, Principal, Scope, TenantId
from juststorage.errors import Misconfigured
from juststorage.ports import Actor, acting
from juststorage.usecases import IssuedApiKey, ManageApiKeys, NewApiKey

__all__ = ["command"]

ResultT = TypeVar("ResultT")

_OPERATOR: Final = Principal(
    subject="operator", tenants=None, scopes=frozenset({Scope.ADMIN}), namespaces=None
)
_PAGE_SIZE: Final = 500
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Span(click.ParamType[timedelta]):
    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """`90d` and the like."""
        match = _SPAN.fullmatch(value)
        if match is None:
            self.fail("write a number and one of s, m, h, d, w, such as 90d", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.group(
    name="keys",
    epilog="\b\nExamples:\n  juststorage keys create --name ci --tenant acme"
    " --scope objects:read\n  juststorage keys list\n\n"
    "\b\nRotation: create the new key, hand it out, then revoke the old one.\n"
    "A key that is revoked is refused everywhere within 5 s.",
)
def command() -> None:
    """Create, list, show and revoke API keys, beside a running service or without one.

    Works on the metadata store itself: whoever may read its configuration may do everything.
    """


@command.command(
    epilog="\b\nExamples:\n"
    "  juststorage keys create --name ci --tenant acme --scope objects:read --expires-in 90d\n"
    "  juststorage keys create --name root --all-tenants --scope admin\n\n"
    "\b\nExit codes: 0 created; 1 refused; 2 wrong usage or configuration.",
)
@config_options
@click.option("--name", required=True, help="What people call it.")
@click.option("--tenant", "tenants", multiple=True, metavar="ID", help="It acts for; repeatable.")
@click.option("--all-tenants", is_flag=True, help="It acts for every tenant.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; repeatable.",
)
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NAME",
    help="It is confined to this one, or to a prefix such as team-*; repeatable.",
)
@click.option("--expires-in", type=_Span(), metavar="SPAN", help="Such as 12h or 90d; else never.")
@json_option()
def create(
    source: ConfigSource,
    *,
    name: str,
    tenants: tuple[str, ...],
    all_tenants: bool,
    scopes: tuple[str, ...],
    namespaces: tuple[str, ...],
    expires_in: timedelta | None,
    as_json: bool,
) -> None:
    """Create a key, and print it: this once, for it is kept as a hash."""
    if bool(tenants) == all_tenants:
        raise click.UsageError("Name each --tenant, or say --all-tenants.")
    new = NewApiKey(
        name=name,
        tenants=None if all_tenants else frozenset(map(TenantId, tenants)),
        scopes=frozenset(map(Scope, scopes)),
        namespaces=frozenset(map(NamespacePattern, namespaces)) or None,
        expires_at=None if expires_in is None else datetime.now(UTC) + expires_in,
    )

    async def issue(keys: ManageApiKeys) -> IssuedApiKey:
        issued = await keys.create(_OPERATOR, new)
        _log(source, "api_key.created", issued.api_key)
        return issued

    issued = _run(source, issue, create=True)
    if as_json:
        print_json({**_document(issued.api_key), "key": issued.secret.text})
        return
    # The key alone on standard output, so that it can go into a file or a variable.
    click.echo(issued.secret.text)
    click.echo(f"created {issued.api_key.id}; the key is not shown again", err=True)


@command.command(
    name="list",
    epilog="\b\nExample:\n  juststorage keys list --all --json\n\n"
    "\b\nExit codes: 0 listed; 1 failed; 2 wrong configuration.",
)
@config_options
@click.option("--all", "show_all", is_flag=True, help="Also those revoked or expired.")
@json_option()
def list_keys(source: ConfigSource, *, show_all: bool, as_json: bool) -> None:
    """List keys, oldest first; never the keys themselves."""

    async def walk(keys: ManageApiKeys) -> list[ApiKey]:
        listing = await keys.page(_OPERATOR, limit=_PAGE_SIZE)
        found = listing.api_keys
        while listing.next_cursor is not None:
            listing = await keys.page(_OPERATOR, limit=_PAGE_SIZE, cursor=listing.next_cursor)
            found += listing.api_keys
        return found

    now = datetime.now(UTC)
    found = [each for each in _run(source, walk) if show_all or _state(each, now) == "active"]
    if as_json:
        print_json([_document(each) for each in found])
        return
    rows = [
        (
            each.id,
            each.name,
            each.prefix or "-",
            _words(each.tenants),
            _words(each.scopes),
            _words(each.namespaces),
            _state(each, now),
            _time(each.last_used_at),
        )
        for each in found
    ]
    head = ("ID", "NAME", "PREFIX", "TENANTS", "SCOPES", "NAMESPACES", "STATE", "LAST USED")
    click.echo(table(head, rows))


@command.command(
    epilog="\b\nExample:\n  juststorage keys show 0190163d-8694-739b-aea5-966c26f8ad91\n\n"
    "\b\nExit codes: 0 shown; 1 there is none; 2 wrong configuration.",
)
@config_options
@click.argument("key_id", metavar="ID")
@json_option()
def show(source: ConfigSource, *, key_id: str, as_json: bool) -> None:
    """Show one key; never the key itself."""

    async def find(keys: ManageApiKeys) -> ApiKey:
        return await keys.find(_OPERATOR, ObjectId(key_id))

    document = _document(_run(source, find))
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        click.echo(f"{name:12}  {_shown(value)}")


@command.command(
    epilog="\b\nExample:\n  juststorage keys revoke 0190163d-8694-739b-aea5-966c26f8ad91\n\n"
    "\b\nExit codes: 0 revoked; 1 refused, or there is none; 2 wrong configuration.",
)
@config_options
@click.argument("key_ids", metavar="ID...", nargs=-1, required=True)
@json_option()
@click.pass_context
def revoke(
    ctx: click.Context, source: ConfigSource, *, key_ids: tuple[str, ...], as_json: bool
) -> None:
    """Revoke keys: every worker refuses them within 5 s.

    The last active key with the scope admin cannot be revoked: create another one first.
    """
    wanted = [ObjectId(key_id) for key_id in key_ids]

    revoked: list[dict[str, Any]] = []
    so_far(ctx, revoked=revoked)

    async def end(keys: ManageApiKeys) -> None:
        for key_id in wanted:
            key = await keys.revoke(_OPERATOR, key_id)
            _log(source, "api_key.revoked", key)
            revoked.append(_document(key))
            if not as_json:
                click.echo(f"revoked {key.id} ({key.name})")

    _run(source, end)
    if as_json:
        print_json({"revoked": revoked})


def _run(
    source: ConfigSource,
    work: Callable[[ManageApiKeys], Awaitable[ResultT]],
    *,
    create: bool = False,
) -> ResultT:
    from juststorage.runtime import logging_to_stderr

    config = source.load()
    with logging_to_stderr(config.log):
        return anyio.run(_with_keys, config, work, create)


async def _with_keys(
    config: Config, work: Callable[[ManageApiKeys], Awaitable[ResultT]], create: bool
) -> ResultT:
    from juststorage.runtime import make_key_manager, open_runtime

    acting.set(Actor(_OPERATOR.subject, None))
    if config.metadata.backend == "memory":
        raise Misconfigured("metadata.backend: keys in memory are those of one process alone")
    async with open_runtime(config, create=create) as runtime:
        return await work(await make_key_manager(runtime))


def _log(source: ConfigSource, action: str, api_key: ApiKey) -> None:
    """The event that the service would have written, where `_run` has set up all logging."""
    from juststorage.runtime import log_line

    config = source.load()
    if not config.audit.log:
        return
    logger = logging.getLogger("juststorage.audit")
    logger.setLevel(logging.INFO)
    members = _document(api_key)
    fields = {
        "action": action,
        "outcome": "done",
        "subject": _OPERATOR.subject,
        "tenant_id": None,
        "request_id": None,
        "peer": None,
        "key_id": members.pop("id"),
        **{name: members[name] for name in ("name", "tenants", "namespaces", "scopes")},
    }
    log_line(logger, f"{action} done", fields)


def _document(api_key: ApiKey) -> dict[str, Any]:
    return {
        "id": str(api_key.id),
        "name": api_key.name,
        "prefix": api_key.prefix,
        "tenants": ["*"] if api_key.tenants is None else sorted(map(str, api_key.tenants)),
        "namespaces": None if api_key.namespaces is None else sorted(map(str, api_key.namespaces)),
        "scopes": sorted(api_key.scopes),
        "created_at": api_key.created_at,
        "expires_at": api_key.expires_at,
        "last_used_at": api_key.last_used_at,
        "is_active": api_key.is_active,
    }


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _state(api_key: ApiKey, now: datetime) -> str:
    if not api_key.is_active:
        return "revoked"
    is_over = api_key.expires_at is not None and api_key.expires_at <= now
    return "expired" if is_over else "active"


def _words(words: frozenset[str] | None) -> str:
    return "*" if words is None else ",".join(sorted(words))


def _time(time: datetime | None) -> str:
    return "never" if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")
