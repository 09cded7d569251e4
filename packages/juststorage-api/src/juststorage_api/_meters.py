"""What HTTP counts: by route template, method and status; never by path, which has no end."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Final

from juststorage.metrics import BUILD_INFO, SERVICE_FAMILIES, Family, Sheet, Table
from juststorage_api._exchange import Exchange
from juststorage_api._http.path import BY_KEY_PREFIX, OBJECTS_PREFIX, UPLOADS_PREFIX
from juststorage_api._http.problem import PROBLEMS

__all__ = [
    "BY_ID",
    "BY_KEY",
    "COLLECTION",
    "METHODS",
    "ROUTES",
    "UNMATCHED",
    "UPLOAD",
    "UPLOADS",
    "UPLOADS_IN_FLIGHT",
    "HttpMeters",
    "note_start",
    "table",
    "template_of",
]

COLLECTION: Final = "/v1/objects"
BY_ID: Final = "/v1/objects/{id}"
BY_KEY: Final = "/v1/objects/by-key/{namespace}/{tenant_id}/{key}"
UPLOADS: Final = "/v1/uploads"
UPLOAD: Final = "/v1/uploads/{upload}"

UNMATCHED: Final = "unmatched"
ROUTES: Final = (
    UNMATCHED,
    COLLECTION,
    BY_ID,
    BY_KEY,
    "/v1/objects/{id}/metadata",
    "/v1/objects/{id}/copy",
    "/v1/objects/delete",
    "/v1/objects/search",
    UPLOADS,
    UPLOAD,
    "/v1/usage",
    "/v1/api-keys",
    "/v1/api-keys/{id}",
    "/v1/admin/gc",
    "/v1/admin/plugins",
    "/v1/admin/read-only",
    "/health",
    "/health/ready",
    "/health/startup",
    "/metrics",
    "/schema",
    "/schema/openapi.json",
    "/schema/reference.css",
)
"""Every template; a test compares them with the routes that there are."""

_OTHER: Final = "other"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", _OTHER)
_GONE: Final = "499"
"""Nobody was left to answer. Many servers log this number for it."""

_STATUSES: Final = (
    *("200", "201", "204", "206", "304"),
    *sorted({str(problem.status) for problem in PROBLEMS.values()}),
    _GONE,
    _OTHER,
)
_BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
    *(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
_REQUESTS: Final = "juststorage_http_requests_total"
_DURATION: Final = "juststorage_http_request_duration_seconds"
_RECEIVED: Final = "juststorage_http_request_body_bytes_total"
_SENT: Final = "juststorage_http_response_body_bytes_total"
UPLOADS_IN_FLIGHT: Final = "juststorage_uploads_in_flight"

_ROUTE: Final = (("method", METHODS), ("route", ROUTES))
_FAMILIES: Final = (
    # The status comes last: the series of one route and method lie side by side.
    Family(
        name=_REQUESTS,
        text="Requests that are over. Status 499: the client was gone.",
        labels=(*_ROUTE, ("status", _STATUSES)),
        sparse=True,
    ),
    Family(
        name=_DURATION,
        text="From the head of a request to the end of its answer, bodies included.",
        kind="histogram",
        labels=_ROUTE,
        bounds=_BOUNDS,
        sparse=True,
    ),
    Family(name=_RECEIVED, text="Bytes of bodies that came in.", labels=_ROUTE, sparse=True),
    Family(name=_SENT, text="Bytes of bodies that went out.", labels=_ROUTE, sparse=True),
    Family(name=UPLOADS_IN_FLIGHT, text="Uploads that are being received or stored.", kind="gauge"),
)


_PATHS: Final = {route.encode(): route for route in ROUTES if "{" not in route}
_TAILS: Final = {
    b"metadata": "/v1/objects/{id}/metadata",
    b"copy": "/v1/objects/{id}/copy",
}
_API_KEYS_PREFIX: Final = b"/v1/api-keys/"


def template_of(path: bytes) -> str:
    """The route of a path, whoever asks and whether or not it was let in."""
    found = _PATHS.get(path)
    if found is not None:
        return found
    if path.startswith(BY_KEY_PREFIX):
        return BY_KEY
    if path.startswith(OBJECTS_PREFIX):
        object_id, slash, tail = path[len(OBJECTS_PREFIX) :].partition(b"/")
        if not slash and object_id:
            return BY_ID
        return _TAILS.get(tail, UNMATCHED)
    if path.startswith(UPLOADS_PREFIX):
        name = path[len(UPLOADS_PREFIX) :]
        return UPLOAD if name and b"/" not in name else UNMATCHED
    if path.startswith(_API_KEYS_PREFIX) and b"/" not in path[len(_API_KEYS_PREFIX) :]:
        return "/v1/api-keys/{id}"
    return UNMATCHED


def table(workers: int, *, service: bool = True) -> Table:
    """All that one instance of the service measures. To be made before its workers are forked.

    Args:
        workers: Its processes.
        service: Not only what HTTP counts.
    """
    return Table((*_FAMILIES, *(SERVICE_FAMILIES if service else ())), workers)


def note_start(sheet: Sheet, now: float) -> None:
    """Note that a worker is ready, at this time since 1970."""
    sheet.set_common(BUILD_INFO.name, 1, *next(BUILD_INFO.series()))
    sheet.set("juststorage_workers", 1)
    sheet.add("juststorage_worker_starts_total", 1)
    if math.isnan(sheet.common("juststorage_start_time_seconds")):
        sheet.set_common("juststorage_start_time_seconds", now)


class HttpMeters:
    """Counts a request, once it is over. This is on the way of every one of them.

    Args:
        sheet: Of a `table`.
    """

    def __init__(self, sheet: Sheet) -> None:
        self._cells = sheet.cells
        self._places = {
            (method, route): (
                sheet.place(_REQUESTS, method, route, _STATUSES[0]),
                sheet.place(_DURATION, method, route),
                sheet.place(_RECEIVED, method, route),
                sheet.place(_SENT, method, route),
            )
            for method in METHODS
            for route in ROUTES
        }
        self._statuses = {int(status): at for at, status in enumerate(_STATUSES[:-1])}
        self._statuses[0] = _STATUSES.index(_GONE)
        self._other = len(_STATUSES) - 1

    def count(self, exchange: Exchange, seconds: float) -> None:
        """Count an exchange that took so long."""
        route = exchange.route or template_of(exchange.path)
        places = self._places.get((exchange.method, route)) or self._places[_OTHER, route]
        requests, duration, received, sent = places
        cells = self._cells
        cells[requests + self._statuses.get(exchange.status, self._other)] += 1
        cells[duration + bisect_left(_BOUNDS, seconds)] += 1
        cells[duration + len(_BOUNDS) + 1] += seconds
        if exchange.received_bytes:
            cells[received] += exchange.received_bytes
        if exchange.sent_bytes:
            cells[sent] += exchange.sent_bytes
