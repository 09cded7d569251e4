"""Stands between a service and its database: cuts a connection at a chosen moment, or is bad."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

__all__ = ["Away", "Proxy"]

Cut = Literal["before", "after"]
Away = Literal["cut", "silent", "deaf", "lose_answers"]


@dataclass(frozen=True)
class _Spell:
    """The line is bad until it is healed."""

    how: Away
    healed: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Passes bytes on between two Unix sockets. A context manager that leaves no thread behind.

    Args:
        directory: Where its socket is to be.
        target: The server's socket.
    """

    def __init__(self, directory: Path, target: Path) -> None:
        self.directory = directory
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / target.name))
        self._listener.listen()
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._lock = threading.Lock()
        self._cut: Cut | None = None
        self._answers_to_pass = 0
        self._marker = b""
        self._silent: frozenset[socket.socket] = frozenset()
        self._dropped: frozenset[socket.socket] = frozenset()
        self._spell: _Spell | None = None
        self.answers_after_s = 0.0
        """How long every answer is on its way."""

        self.lost = b""
        """What the last cut took, as far as it had come."""

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        # A listening socket that is only closed would leave its thread in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        _end(*self._open_ends())
        for thread in self._threads:
            thread.join()

    def cut(self, when: Cut, *, answers_to_pass: int = 0, marker: bytes = b"") -> None:
        """Cut the connection once: with a request, before the server has it, or with its answer.

        Args:
            when: Which of the two is lost.
            answers_to_pass: Answers that come through before that.
            marker: Count only requests with these bytes, and answers to them.
        """
        with self._lock:
            self._cut, self._answers_to_pass, self._marker = when, answers_to_pass, marker

    def silence(self) -> None:
        """Let the connections that there are say nothing more, on either side, and stay open.

        As where a machine between the two forgets them. New connections are well.
        """
        self._silent = frozenset(self._open_ends())

    def drop(self) -> None:
        """Let each of the connections that there are end, instead of its next answer.

        New connections are well.
        """
        self._dropped = frozenset(self._open_ends())

    def take_away(self, how: Away) -> None:
        """Let the line be bad for all connections, and new ones as well, until it is healed.

        Args:
            how: `cut`: connections end, and new ones are refused. `silent`: what either side says
                is on its way until the line is healed, and arrives then, even if who said it has
                given up. `deaf`: only what the server says. `lose_answers`: what the client says
                arrives, and its connection ends instead of the answer.
        """
        self._spell = _Spell(how)
        if how == "cut":
            _end(*self._open_ends())

    def heal(self) -> None:
        """The line is well, and what was on its way arrives."""
        spell, self._spell = self._spell, None
        if spell is not None:
            spell.healed.set()

    @property
    def has_cut(self) -> bool:
        """Whether it has done so."""
        return self._cut is None

    def _open_ends(self) -> list[socket.socket]:
        with self._lock:
            return list(self._ends)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            spell = self._spell
            server = socket.socket(socket.AF_UNIX)
            try:
                if spell is not None and spell.how == "cut":
                    raise ConnectionRefusedError
                server.connect(str(self._target))
            except OSError:
                client.close()
                server.close()
                continue
            with self._lock:
                self._ends += [client, server]
            thread = threading.Thread(target=self._converse, args=(client, server))
            self._threads.append(thread)
            thread.start()

    def _converse(self, client: socket.socket, server: socket.socket) -> None:
        """One request, its answer, and so on: a client of PostgreSQL waits for each."""
        answers = threading.Thread(target=self._pass_back, args=(client, server))
        answers.start()
        with suppress(OSError):
            while request := client.recv(1 << 20):
                if client in self._silent:
                    continue
                spell = self._spell
                if spell is not None and spell.how == "cut":
                    break  # it was opened as that began
                if spell is not None and spell.how == "silent":
                    spell.healed.wait()
                if self._loses("before", request):
                    break
                server.sendall(request)
        _end(client, server)
        answers.join()
        with self._lock:
            for end in (client, server):
                self._ends.remove(end)
                end.close()

    def _pass_back(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while answer := server.recv(1 << 20):
                time.sleep(self.answers_after_s)
                if server in self._silent:
                    continue
                spell = self._spell
                if server in self._dropped or (spell is not None and spell.how == "lose_answers"):
                    break
                if spell is not None and spell.how in {"silent", "deaf"}:
                    spell.healed.wait()
                if self._loses("after", answer):
                    break
                client.sendall(answer)
        _end(client, server)

    def _loses(self, when: Cut, message: bytes) -> bool:
        with self._lock:
            if self._cut is None or self._marker not in message:
                return False
            if self._answers_to_pass:
                self._answers_to_pass -= when == "after" or bool(self._marker)
                return False
            if self._cut != when:
                return False
            self._cut = None
            self.lost = message
            return True


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
