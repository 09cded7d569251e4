"""The first admin key: where there is none, nobody could create one."""

from __future__ import annotations

from juststorage.domain import ApiKey, ApiKeySecret, ObjectId, Scope
from juststorage.errors import Invalid, InvalidState, Misconfigured
from juststorage.plugins import OpenContext, Secret
from juststorage.ports import ApiKeyRepository

__all__ = ["BOOTSTRAP_NAME", "parse_bootstrap_key", "register_bootstrap_key"]

BOOTSTRAP_NAME = "bootstrap"


async def register_bootstrap_key(
    configured: Secret, keys: ApiKeyRepository, context: OpenContext
) -> None:
    """Make the configured key an active admin key for all tenants, unless its hash is known.

    Every worker does this at every start; the hash is unique, so one of them creates it. A key that
    was revoked stays revoked: configuration must not undo what an administrator did.

    Raises:
        Misconfigured: It is not 20 to 256 visible ASCII characters.
    """
    try:
        secret = parse_bootstrap_key(configured)
    except Invalid as error:
        raise Misconfigured(f"{context.instance}.bootstrap_key: {error.detail}") from None
    known = await keys.find_by_hash(secret.hashed)
    if known is None:
        try:
            known = await keys.create(_admin_key(secret, context))
        except InvalidState:
            return  # another worker was faster
        context.logger.debug("the bootstrap key is registered as %s", known.id)
    elif not known.accepts(secret, context.clock.now()):
        context.logger.warning(
            "the bootstrap key was revoked or has expired and stays so; configure another one"
        )


def parse_bootstrap_key(configured: Secret) -> ApiKeySecret:
    """The key that was configured.

    Raises:
        Invalid: It is none. The sentence does not repeat it.
    """
    secret = ApiKeySecret.parse(configured.reveal())
    if " " in secret.text:
        raise Invalid("an API key has no spaces")
    return secret


def _admin_key(secret: ApiKeySecret, context: OpenContext) -> ApiKey:
    return ApiKey(
        id=ObjectId.new(),
        name=BOOTSTRAP_NAME,
        prefix=secret.prefix,
        hashed=secret.hashed,
        tenants=None,
        scopes=frozenset({Scope.ADMIN}),
        namespaces=None,
        created_at=context.clock.now(),
        expires_at=None,
        last_used_at=None,
        is_active=True,
    )
