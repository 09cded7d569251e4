"""Locators: never used twice, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from juststorage.domain import ObjectId, StorageClass
from juststorage_objectstore._names import (
    entry_of,
    is_locator,
    new_locator,
    split_entry,
    upload_of,
)

ID = ObjectId("0190163d-8694-739b-aea5-966c26f8ad91")
ONE = f"hot/blobs/ab/{ID}.ab0123456789abcd"


def test_a_locator_tells_its_upload_and_never_comes_again() -> None:
    """The upload can be read from it, and two for one upload differ."""
    made = {new_locator(StorageClass.COLD, ID) for _ in range(100)}
    assert len(made) == 100
    for each in made:
        assert is_locator(each)
        assert each.startswith("cold/blobs/")
        assert upload_of(each) == ID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hot/probe",
        ONE + "\n",
        ONE + "/x",
        "/" + ONE,
        ONE.upper(),
        ONE.replace("hot", "warm"),
        ONE.replace("/ab/", "/cd/"),
        ONE.replace("/ab/", "/../"),
        ONE[:-1],
    ],
)
def test_what_is_no_locator(text: str) -> None:
    """Anything that this store did not make."""
    assert not is_locator(text)
    assert upload_of(text) is None
    assert split_entry(text) is None


def test_entries() -> None:
    """An entry is a locator, with the store's name of a multipart upload where there is one."""
    assert split_entry(ONE) == (ONE, "")
    assert split_entry(entry_of(ONE, "up?load")) == (ONE, "up?load")
    assert ONE < entry_of(ONE, "x") < ONE[:-1] + "e"
