"""One act whose connection to the database is cut on the way, for `database`.

Somewhere, at a COMMIT, or after the one statement by which most uploads and single deletions are
committed. That one is told by what only its answer has in it: it is carried out by then, whatever
the client is told. Or several uploads at once, which share statements: what becomes of the others
whose statement was cut is nobody's guess either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.lost_database.proxy import Cut, Proxy
from tests.torture.acts import ACTS, Collect, Deed, Delete, Fsck, Upload, UploadLarge, UploadSame
from tests.torture.experiment import Rig, Run
from tests.torture.journal import Broken
from tests.torture.outcomes import Outcomes

__all__ = ["AT_COMMIT", "AT_ONE_STATEMENT", "OF_SEVERAL", "cut", "cut_several"]

AT_COMMIT: Final = "connections cut at a COMMIT"
AT_ONE_STATEMENT: Final = "connections cut after the one statement of an upload or a deletion"
OF_SEVERAL: Final = "connections cut after a statement of several uploads"
"""How they are counted; by each but the first kind its answer is lost."""

_TOGETHER: Final = 12
"""Uploads at once: while the first ones' statement is under way, the others wait for another."""

_DEEDS: Final = tuple(deed for deed in ACTS if not issubclass(deed, Collect) and deed is not Fsck)


def _hash(doing: Deed) -> bytes:
    return hashlib.sha256(doing.at_stake).hexdigest().encode()


_ONE_STATEMENT: Final[dict[type[Deed], Callable[[Deed], bytes]]] = {
    Upload: _hash,
    UploadLarge: _hash,
    UploadSame: lambda _: b"COMMITTED",
    Delete: lambda _: b"DELETING",
}
"""Acts that commit with one statement, and what of all their answers only that one's has in it."""


def cut(run: Run, outcomes: Outcomes, proxy: Proxy) -> None:
    """Cut one act, look up what became of it, and count that.

    Raises:
        Broken: It was answered as it should not be, or its outcome is not what it was told.
    """
    where = run.chance.choice(("", AT_COMMIT, AT_ONE_STATEMENT))
    deed = run.chance.choice(tuple(_ONE_STATEMENT) if where == AT_ONE_STATEMENT else _DEEDS)
    when: Cut = "after" if where == AT_ONE_STATEMENT else run.chance.choice(("before", "after"))
    doing = deed(outcomes.made, run.chance)
    doing.prepare()
    outcomes.before(doing)
    known = len(outcomes.made.journal.entries)
    marker = b"COMMIT\0" if where == AT_COMMIT else b""
    if where == AT_ONE_STATEMENT:
        marker = _ONE_STATEMENT[deed](doing)
    proxy.cut(when, answers_to_pass=0 if marker else run.chance.randrange(4), marker=marker)
    # 404: a delete whose answer was lost, tried again behind the scenes of this very request.
    doing.refusals = (404, 409, 503)
    try:
        done = doing.act()
        refused = doing.refused
        is_cut = proxy.has_cut
        proxy.cut("before", marker=b"never in any message")
        if not done and refused is None:
            raise Broken("no answer from a server that runs")
        outcomes.after(doing, done=done)
        if is_cut and where == AT_ONE_STATEMENT:
            _must_be_done(outcomes.made, doing, known)
    except Broken as broken:
        raise Broken(f"{deed.__name__}, cut {when} {where}: {broken}") from broken
    counts = run.counts
    if not is_cut:
        counts["acts that were over before the cut"] += 1
        return
    counts["connections cut"] += 1
    if where:
        counts[where] += 1
    if where == AT_COMMIT:
        lost = "the COMMIT" if when == "before" else "its answer"
        counts[f"{where}, {lost} lost"] += 1
    counts["acts that endured a cut" if done else f"acts told {refused} at a cut"] += 1


def cut_several(run: Run, outcomes: Outcomes, proxy: Proxy) -> None:
    """Cut the connection with an answer that is for several uploads, and look all of them up.

    Raises:
        Broken: One was answered as it should not be, or its outcome is not what it was told.
    """
    several = [Upload(outcomes.made, run.chance) for _ in range(_TOGETHER)]
    for doing in several:
        doing.prepare()
        doing.refusals = (503,)
    # The last one is hardly among those who came first, whose statement is theirs alone.
    proxy.cut("after", marker=_hash(several[-1]))
    with ThreadPoolExecutor(_TOGETHER) as threads:
        done = list(threads.map(Upload.act, several))
    lost = proxy.lost if proxy.has_cut else b""
    proxy.cut("before", marker=b"never in any message")
    sharing = [doing for doing in several if _hash(doing) in lost]
    for doing, is_done in zip(several, done, strict=True):
        if not is_done and doing.refused is None:
            raise Broken("no answer from a server that runs")
        is_there = outcomes.after_new(doing, done=is_done)
        if doing in sharing and not is_there:
            raise Broken("their one statement was answered, and one of them is not done")
    if len(sharing) > 1:
        refused = sum(doing.refused is not None for doing in sharing)
        run.counts[OF_SEVERAL] += 1
        run.counts["uploads whose shared statement was cut, told 503"] += refused
        run.counts["uploads whose shared statement was cut, that went on"] += len(sharing) - refused


def _must_be_done(made: Rig, doing: Deed, known: int) -> None:
    """The database has carried it out before its answer was lost.

    Raises:
        Broken: It is not there, or not gone: the cut was elsewhere, or it was undone.
    """
    if isinstance(doing, Delete):
        is_done = made.service.read(doing.entry.id)[0] == 404
    else:
        is_done = len(made.journal.entries) == known + 1
    if not is_done:
        raise Broken("its one statement was answered, and it is not done")
