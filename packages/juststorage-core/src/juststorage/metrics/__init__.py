"""Counters of a running service, shared by its processes. docs/adr/0024 says why they are ours."""

from juststorage.metrics._catalogue import (
    BUILD_INFO,
    DAMAGES,
    INSTANCES,
    SERVICE_FAMILIES,
    BackendGauge,
)
from juststorage.metrics._families import Family
from juststorage.metrics._table import TEXT_FORMAT, Sheet, Table

__all__ = [
    "BUILD_INFO",
    "DAMAGES",
    "INSTANCES",
    "SERVICE_FAMILIES",
    "TEXT_FORMAT",
    "BackendGauge",
    "Family",
    "Sheet",
    "Table",
]
