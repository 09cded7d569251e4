"""Counting requests: which route a path belongs to, and what is counted for it."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage.config import Limits
from juststorage_api._exchange import Exchange
from juststorage_api._meters import BY_ID, BY_KEY, ROUTES, HttpMeters, table, template_of
from juststorage_api._openapi.document import openapi_document
from juststorage_api._routes.schema import schema_routes


def over(method: str = "GET", path: bytes = b"/v1/objects/1", **state: Any) -> Exchange:
    """An exchange that has ended."""

    async def nothing(*arguments: Any) -> Any:
        raise AssertionError

    made = Exchange(
        {"method": method},
        nothing,
        nothing,
        path=path,
        fields={},
        request_id=b"r",
        bounds=Limits(),
    )
    for name, value in ({"status": 200} | state).items():
        setattr(made, name, value)
    return made


def lines(meters: Any) -> list[str]:
    """What is shown, without comments."""
    return [line for line in meters.text().decode().splitlines() if not line.startswith("#")]


def test_the_routes_are_those_that_there_are() -> None:
    """Each path of the document, each page of the reference, and one for all that is unknown."""
    pages = {path for handler in schema_routes for path in handler.paths}
    assert set(ROUTES) == {*openapi_document()["paths"], *pages, "unmatched"}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/v1/objects/by-key/ns/t/a/b%2Fc", BY_KEY),
        (b"/v1/objects/01a21098-f290-7cc4-9518-d64de021c446", BY_ID),
        (b"/v1/objects/delete", "/v1/objects/delete"),
        (b"/v1/objects/x/metadata", "/v1/objects/{id}/metadata"),
        (b"/v1/objects/x/copy", "/v1/objects/{id}/copy"),
        (b"/v1/objects/x/metadata/y", "unmatched"),
        (b"/v1/objects/", "unmatched"),
        (b"/v1/api-keys/x", "/v1/api-keys/{id}"),
        (b"/v1/api-keys/x/y", "unmatched"),
        (b"/health/ready", "/health/ready"),
        (b"/", "unmatched"),
        (b"/wp-login.php", "unmatched"),
    ],
)
def test_a_path_and_its_route(path: bytes, route: str) -> None:
    """No path makes a series of its own, whatever clients try."""
    assert template_of(path) == route


def test_one_request() -> None:
    """Its status, its duration, and the bytes both ways."""
    meters = table(1, service=False)
    count = HttpMeters(meters.worker(0)).count
    count(over("PUT", route=BY_KEY, status=201, received_bytes=10, sent_bytes=3), 0.004)
    labels = f'method="PUT",route="{BY_KEY}"'
    shown = lines(meters)
    assert f'juststorage_http_requests_total{{{labels},status="201"}} 1' in shown
    name = "juststorage_http_request_duration_seconds"
    assert f'{name}_bucket{{{labels},le="0.0025"}} 0' in shown
    assert f'{name}_bucket{{{labels},le="0.005"}} 1' in shown
    assert f"{name}_sum{{{labels}}} 0.004" in shown
    assert f"{name}_count{{{labels}}} 1" in shown
    assert f"juststorage_http_request_body_bytes_total{{{labels}}} 10" in shown
    assert f"juststorage_http_response_body_bytes_total{{{labels}}} 3" in shown


def test_what_has_no_series_of_its_own() -> None:
    """A method, a status or a path that nobody foresaw; a client that was gone."""
    meters = table(1, service=False)
    count = HttpMeters(meters.worker(0)).count
    count(over("BREW", b"/coffee", status=418), 100.0)
    count(over(status=0), 0.1)
    counted = [line for line in lines(meters) if "requests_total" in line]
    assert counted == [
        f'juststorage_http_requests_total{{method="GET",route="{BY_ID}",status="499"}} 1',
        'juststorage_http_requests_total{method="other",route="unmatched",status="other"} 1',
    ]
