"""From a request to its caller: the chain of authenticators, asked in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from juststorage.domain import Principal
from juststorage.errors import Invalid, Misconfigured, Unauthenticated
from juststorage.ports import Authenticator, Credentials
from juststorage_api._asgi import Scope

__all__ = ["Authentication"]

_SCHEMES = {"api_key": 'ApiKey realm="juststorage"', "jwt": 'Bearer realm="juststorage"'}


class Authentication:
    """The chain.

    Args:
        chain: Asked in this order until one recognizes the caller.
        names: What configuration calls them, for the challenge of a 401.

    Raises:
        Misconfigured: Their order would hide something.
    """

    def __init__(self, chain: Sequence[Authenticator], names: Iterable[str]) -> None:
        names = tuple(names)
        _check_order(names)
        self._chain = tuple(chain)
        offered = [_SCHEMES[name] for name in names if name in _SCHEMES]
        self.challenge = ", ".join(offered) or _SCHEMES["api_key"]

    async def principal(self, scope: Scope, fields: Mapping[bytes, bytes]) -> Principal:
        """The caller.

        Raises:
            Unauthenticated: Nobody recognizes the credentials, or there are none.
            Invalid: There are two credentials.
        """
        credentials = _credentials(scope, fields)
        for authenticator in self._chain:
            principal = await authenticator.authenticate(credentials)
            if principal is not None:
                return principal
        if credentials.scheme is None and credentials.api_key is None:
            raise Unauthenticated("this call needs a credential")
        raise Unauthenticated("this credential is not accepted here")


def _check_order(names: tuple[str, ...]) -> None:
    if "trusted_header" in names[1:]:
        # Behind another one it would never see that a request has two credentials.
        raise Misconfigured("auth.chain: trusted_header has to come first")
    if "anonymous" in names[:-1]:
        raise Misconfigured("auth.chain: anonymous has to come last: it takes whoever is left")


def _credentials(scope: Scope, fields: Mapping[bytes, bytes]) -> Credentials:
    authorization = fields.get(b"authorization")
    api_key = fields.get(b"x-api-key")
    headers = scope["headers"]
    if (authorization is not None and api_key is not None) or (
        len(fields) != len(headers)
        and sum(name in {b"authorization", b"x-api-key"} for name, _ in headers) > 1
    ):
        raise Invalid("send one credential, not two")
    scheme = token = None
    if authorization is not None:
        word, _, rest = authorization.decode("latin-1").partition(" ")
        scheme, token = word.lower(), rest.strip()
    client = scope.get("client")
    return Credentials(
        scheme=scheme,
        token=token,
        api_key=None if api_key is None else api_key.decode("latin-1"),
        raw_headers=headers,
        peer=client[0] if client else None,
    )
