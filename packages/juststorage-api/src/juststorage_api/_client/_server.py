"""The server that a command talks to: where it is, who asks, and how long it may be away."""

from __future__ import annotations

import functools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from juststorage.errors import IdempotencyInFlight, JustStorageError, RateLimited, Unavailable
from juststorage_api._client._problems import Untrusted, is_untrusted, problem_in

if TYPE_CHECKING:
    import httpx2

__all__ = ["Patience", "Server", "server_options"]

P = ParamSpec("P")
R = TypeVar("R")

_CONNECT_S: Final = 10.0
_SILENCE_S: Final = 60.0
"""Longer than `limits.request_timeout_s`: the server says by itself that it gave up."""

_PAUSE_S: Final = 0.2
_PAUSE_MAX_S: Final = 5.0


class Patience:
    """How often one thing is tried: again and again, until nothing came of it for too long."""

    def __init__(self, seconds: float, stop: threading.Event, known: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._stop = stop
        self._known = known
        self.tries = 0
        self.progressed()

    def progressed(self) -> None:
        """Something came of it: count from now on."""
        self._until = time.monotonic() + self._seconds
        self._turns = 0

    def wait(self, error: JustStorageError) -> None:
        """Wait before the next try: as long as the server says, and longer from try to try.

        Raises:
            JustStorageError: `error`, where there should be none: it has taken too long, or the
                server was never reached: its URL may be wrong.
        """
        self.tries += 1
        pause = min(_PAUSE_MAX_S, _PAUSE_S * 2**self._turns) * random.uniform(0.5, 1)  # noqa: S311
        # Later than it was told, by a little: others were told the same.
        pause += float(error.fields.get("retry_after_s") or 0)
        self._turns += 1
        if not self._known() or time.monotonic() + pause > self._until or self._stop.wait(pause):
            raise error


class Server:
    """A connection pool to one server; safe in several threads.

    Args:
        url: Scheme, host, port, and maybe a path that comes before all others.
        key: The API key; None for what everybody may do.
        patience_s: Seconds to go on without progress, once it was reached at all.
    """

    def __init__(self, url: str, key: str | None, patience_s: float) -> None:
        import httpx2

        self._httpx = httpx2
        headers = {"accept-encoding": "identity", "user-agent": "juststorage"}
        if key is not None:
            headers["authorization"] = f"ApiKey {key}"
        self.url = url
        self.stop = threading.Event()
        """Set when everything shall end: waiting stops at once, transfers at their next piece."""
        self._patience_s = patience_s
        self._was_reached = False
        self._client = httpx2.Client(
            base_url=url,
            headers=headers,
            timeout=httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def timeout(self, more_s: float) -> httpx2.Timeout:
        """For an answer that may take so many seconds longer than others."""
        return self._httpx.Timeout(
            _SILENCE_S, read=_SILENCE_S + more_s, connect=_CONNECT_S, pool=None
        )

    def patience(self, more_s: float = 0.0) -> Patience:
        """For one thing that may be tried again, and may take so many seconds longer than most."""
        return Patience(self._patience_s + more_s, self.stop, lambda: self._was_reached)

    @contextmanager
    def answer(self, method: str, path: str, **how: Any) -> Iterator[httpx2.Response]:
        """Ask once; the answer, its body not read yet.

        Raises:
            Unavailable: Nobody answered, or the answer broke off while the block read it.
            JustStorageError: The answer is a refusal.
        """
        try:
            with self._client.stream(method, path, **how) as response:
                self._was_reached = True
                if not response.is_success:
                    raise problem_in(response, response.read())
                yield response
        except self._httpx.TransportError as error:
            if not isinstance(error, self._httpx.ConnectError | self._httpx.ConnectTimeout):
                self._was_reached = True
            said = str(error) or type(error).__name__
            if is_untrusted(error):
                raise Untrusted(f"{self.url} is not trusted: {said}") from error
            raise Unavailable(f"{self.url} does not answer: {said}") from error

    def call(
        self, method: str, path: str, *, patience: Patience | None = None, **how: Any
    ) -> httpx2.Response:
        """Ask until there is an answer; for what may be asked twice. The body has been read.

        Args:
            method: As in HTTP.
            path: With its escapes.
            patience: To learn how often it was tried.
            how: As for the HTTP client: `params`, `headers`, `json`, `content`.

        Raises:
            JustStorageError: The last refusal.
        """
        patience = patience or self.patience()
        while True:
            try:
                with self.answer(method, path, **how) as response:
                    response.read()
                    return response
            except (Unavailable, RateLimited, IdempotencyInFlight) as error:
                patience.wait(error)

    def explained(self, error: JustStorageError, path: str, **how: Any) -> JustStorageError:
        """Why a HEAD was refused, whose answer has no body: the same, asked for as a GET.

        Args:
            error: The refusal of the HEAD.
            path: As that of the HEAD.
            how: As that of the HEAD.

        Returns:
            The refusal with the server's code and sentence; `error`, where there is none by now.
        """
        status = error.fields.get("status")
        if status is None:  # nobody answered
            return error
        try:
            # A single byte, should it be there after all, and that one is not read.
            with self.answer("GET", path, headers={"range": "bytes=0-0"}, **how):
                return error
        except JustStorageError as told:
            return told if told.fields.get("status") == status else error

    def json(self, method: str, path: str, **how: Any) -> Any:
        """As `call`; what the body says."""
        return msgspec.json.decode(self.call(method, path, **how).content)

    def pages(self, query: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
        """All objects of a list, a page at a time."""
        params = {**query, "limit": "1000"}
        while True:
            page = self.json("GET", "/v1/objects", params=params)
            yield page["objects"]
            if page["next_cursor"] is None:
                return
            params["cursor"] = page["next_cursor"]


def server_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add `--url`, `--key-file` and `--patience`; the command gets `connect`, a maker of `Server`.

    The key itself is no option: the command line of a process is there for everybody to see.
    """

    @click.option(
        "--url",
        envvar="JUSTSTORAGE_URL",
        show_envvar=True,
        default="http://127.0.0.1:8080",
        show_default=True,
        help="The server.",
    )
    @click.option(
        "--key-file",
        envvar="JUSTSTORAGE_KEY_FILE",
        show_envvar=True,
        type=click.Path(path_type=Path),
        help="File with the API key; else JUSTSTORAGE_KEY holds the key itself.",
    )
    @click.option(
        "--patience",
        "patience_s",
        type=click.FloatRange(min=0),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to try again without progress, when the server goes away midway.",
    )
    @functools.wraps(command)
    def with_server(
        *args: Any, url: str, key_file: Path | None, patience_s: float, **kwargs: Any
    ) -> R:
        _require_url(url)
        key = _key(key_file)
        return command(
            *args, connect=functools.partial(Server, url.rstrip("/"), key, patience_s), **kwargs
        )

    return with_server


def _require_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_fit = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_fit = False
    if not is_fit or parts.query or parts.fragment:
        raise click.UsageError("--url must be like http://127.0.0.1:8080 or https://host/path.")
    if parts.username is not None:
        raise click.UsageError("--url must have no user or password in it.")


def _key(key_file: Path | None) -> str | None:
    if key_file is None:
        text, where = os.environ.get("JUSTSTORAGE_KEY", ""), "JUSTSTORAGE_KEY"
    else:
        where = f"the file {key_file}"
        try:
            text = key_file.read_text(encoding="ascii")
        except OSError as error:
            raise click.UsageError(f"{where} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            text = "\0"
    key = text.strip()
    if not key and key_file is None:
        return None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise click.UsageError(f"{where} holds no API key.")
    return key
