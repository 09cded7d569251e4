"""What the harness of these tests says of a server that something unexpected happened in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wire.serving import served, unexpected

FAILING = """
from juststorage_api._access_log import AccessLog

write = AccessLog.write

def failed(self, exchange, seconds):
    exchange.status = 500
    write(self, exchange, seconds)

AccessLog.write = failed
"""


def test_an_answer_500_is_seen(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the line as a server really writes it, which has no traceback."""
    (tmp_path / "sitecustomize.py").write_text(FAILING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        pytest.raises(AssertionError, match='"status":500'),
        served("sqlite", request, tmp_path) as service,
    ):
        assert service.ask("GET", "/v1/objects?tenant_id=acme").status == 200


@pytest.mark.parametrize(
    ("line", "is_seen"),
    [
        ('{"message":"m","fields":{"status":200}}', False),
        ('{"message":"m","fields":{"status":503}}', False),
        ('{"message":"status 500","fields":{}}', False),
        ('{"message": "m", "fields": {"status": 500}}', True),
        ('{"message":"m","fields":{},"exception":"Traceback (most recent call last)"}', True),
        ("Traceback (most recent call last):", True),
        ("thread panicked", True),
        ("[]", True),
        ("null", True),
        ('{"fields":[]}', True),
    ],
)
def test_what_is_unexpected(line: str, *, is_seen: bool) -> None:
    """A status, wherever the blanks are; a traceback; and what is no line of a log."""
    assert list(unexpected([line])) == [line] * is_seen
