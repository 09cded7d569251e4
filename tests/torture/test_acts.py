"""What acts take for an answer that is right."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.torture.acts import UploadOnce
from tests.torture.journal import Broken, Journal


def once(status: int) -> UploadOnce:
    """An upload with a key, to a service that always answers so."""
    service: Any = SimpleNamespace(call=lambda *_, **__: (status, b"{}"))
    rig: Any = SimpleNamespace(service=service, journal=Journal(), logged=lambda: "")
    doing = UploadOnce(rig, random.Random(1))
    doing.prepare()
    return doing


def test_a_key_waits_no_longer_than_a_lease() -> None:
    """409 is right while the lease of a dead attempt may run, and never for good."""
    doing = once(409)
    doing.may_wait = True
    assert doing.act()
    doing.may_wait = False
    with pytest.raises(Broken, match="UploadOnce answers 409"):
        doing.act()


def test_a_key_may_be_refused_where_all_may_be() -> None:
    """What the experiment allows is a refusal, and no success."""
    doing = once(409)
    doing.refusals = (409,)
    assert not doing.act()
    assert doing.refused == 409
