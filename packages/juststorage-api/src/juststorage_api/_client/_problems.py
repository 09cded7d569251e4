"""What a server answers or fails to answer, as the errors that this project has anyway."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click
import msgspec

from juststorage import errors
from juststorage.cli import fail
from juststorage.errors import (
    BlobMissing,
    Conflict,
    Denied,
    Invalid,
    JustStorageError,
    Misconfigured,
    NotFound,
    PreconditionFailed,
    RateLimited,
    StorageFull,
    Unauthenticated,
    Unavailable,
    UnsupportedOperation,
)

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "EXIT_CODES",
    "FileTrouble",
    "NotOffered",
    "Untrusted",
    "about",
    "exits",
    "is_untrusted",
    "problem_in",
    "wants_tenant",
]

EXIT_CODES: Final = (
    "\b\nExit codes: 0 done; 1 refused, or failed; 2 wrong usage; 3 there is no such object;\n"
    "4 the server is away, or did not come back in time: the same command goes on;\n"
    "130 interrupted by Ctrl-C."
)

P = ParamSpec("P")
R = TypeVar("R")


class Untrusted(JustStorageError):
    """The server's certificate is not one that this machine trusts; waiting does not help."""

    code = "untrusted"


class NotOffered(UnsupportedOperation):
    """The server, or what it is set up with, cannot do this; another way may do."""


class FileTrouble(JustStorageError):
    """A file or directory here cannot be read or written."""

    code = "file_trouble"


_KINDS: Final[Mapping[int, type[JustStorageError]]] = {
    401: Unauthenticated,
    403: Denied,
    404: NotFound,
    405: NotOffered,
    409: Conflict,
    412: PreconditionFailed,
    429: RateLimited,
    501: NotOffered,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
    507: StorageFull,
}


def problem_in(response: httpx2.Response, body: bytes) -> JustStorageError:
    """The error that an answer tells of, with what its sender says about it.

    Returns:
        With the field `status`, which tells it from what was not answered at all.
    """
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        said = {}
    status = response.status_code
    detail = _readable(said.get("detail")) or f"the server answered {status}"
    if status == 401:
        detail += "; put a key into JUSTSTORAGE_KEY, or into a file that --key-file names"
    if request_id := response.headers.get("x-request-id"):
        detail += f" (request {_readable(request_id)})"
    kind = _kind(_KINDS.get(status, Invalid if status < 500 else JustStorageError), said)
    retry_after_s = _seconds(response.headers.get("retry-after", ""))
    return kind(detail, status=status, retry_after_s=retry_after_s)


def _seconds(retry_after: str) -> float | None:
    """What `Retry-After` says, in either of its forms (RFC 9110); None where it says nothing."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _kind(family: type[JustStorageError], said: dict[str, Any]) -> type[JustStorageError]:
    """The error of a family that has the code which the server says; else the family itself."""
    if family is JustStorageError:  # which all of them are
        return BlobMissing if said.get("code") == BlobMissing.code else family
    for name in errors.__all__:
        each: type[JustStorageError] = getattr(errors, name)
        if issubclass(each, family) and family.code != each.code == said.get("code"):
            return each
    return family


@contextmanager
def about(name: str) -> Iterator[None]:
    """Have a conflict that the block meets name what it is about, as the server does not."""
    try:
        yield
    except Conflict as error:
        raise type(error)(f"{name}: {error.detail}", **error.fields) from error


@contextmanager
def wants_tenant(how: str) -> Iterator[None]:
    """Have a refusal that a tenant is missing say how this command names one.

    Args:
        how: As in "name it: --tenant ID".
    """
    try:
        yield
    except Invalid as error:
        if not error.detail.startswith("tenant_id is required"):
            raise
        raise type(error)(f"{error.detail}; name it: {how}", **error.fields) from error


def is_untrusted(error: BaseException) -> bool:
    """Whether a connection failed because of the server's certificate."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def exits(command: Callable[P, R]) -> Callable[P, R]:
    """Have a command end with the codes of `EXIT_CODES`."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (NotFound, Unavailable) as error:
            ctx = click.get_current_context()
            fail(ctx, error)
            ctx.exit(3 if isinstance(error, NotFound) else 4)
        except BrokenPipeError:
            raise  # whoever reads our output has enough: click ends quietly
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise FileTrouble(f"{where}{error.strerror or error}") from error
        except ModuleNotFoundError as error:
            raise Misconfigured(
                f"the package {error.name} is missing: install juststorage-api[client]"
            ) from error

    return run


def _readable(text: object) -> str:
    """One line without anything that would steer a terminal."""
    if not isinstance(text, str):
        return ""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
