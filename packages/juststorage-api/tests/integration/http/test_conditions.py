"""Conditional requests and ranges over the wire: RFC 9110, sections 13 and 14."""

from __future__ import annotations

from typing import Any

import pytest

DATA = b"0123456789"
PAST = "Sun, 06 Nov 1994 08:49:37 GMT"
FUTURE = "Fri, 06 Nov 2094 08:49:37 GMT"
OTHER = '"sha256:' + "0" * 64 + '"'


@pytest.fixture
def url(api: Any, base: str) -> str:
    """An object of ten bytes."""
    api.put(f"{base}/k", DATA)
    return f"{base}/k"


@pytest.fixture
def tag(api: Any) -> str:
    """Its entity tag."""
    return f'"{api.digest(DATA)}"'


READS = [
    # name, headers (TAG stands for the entity tag, DATE for Last-Modified), status
    ("nothing", {}, 200),
    ("none match, same", {"If-None-Match": "TAG"}, 304),
    ("none match, weak", {"If-None-Match": "W/TAG"}, 304),
    ("none match, in a list", {"If-None-Match": '"x", W/"y" , TAG'}, 304),
    ("none match, star", {"If-None-Match": "*"}, 304),
    ("none match, other", {"If-None-Match": OTHER}, 200),
    ("match, same", {"If-Match": "TAG"}, 200),
    ("match, star", {"If-Match": "*"}, 200),
    ("match, in a list", {"If-Match": '"x",TAG'}, 200),
    ("match, weak", {"If-Match": "W/TAG"}, 412),
    ("match, other", {"If-Match": OTHER}, 412),
    ("match before none match", {"If-Match": OTHER, "If-None-Match": "TAG"}, 412),
    ("both hold against each other", {"If-Match": "TAG", "If-None-Match": "TAG"}, 304),
    ("modified since, same", {"If-Modified-Since": "DATE"}, 304),
    ("modified since, past", {"If-Modified-Since": PAST}, 200),
    ("modified since, future", {"If-Modified-Since": FUTURE}, 304),
    ("modified since, no date", {"If-Modified-Since": "yesterday"}, 200),
    ("none match beats modified since",
     {"If-None-Match": OTHER, "If-Modified-Since": FUTURE}, 200),
    ("unmodified since, same", {"If-Unmodified-Since": "DATE"}, 200),
    ("unmodified since, past", {"If-Unmodified-Since": PAST}, 412),
    ("unmodified since, no date", {"If-Unmodified-Since": "tomorrow"}, 200),
    ("match beats unmodified since", {"If-Match": "TAG", "If-Unmodified-Since": PAST}, 200),
    ("none match malformed", {"If-None-Match": "x"}, 400),
    ("match malformed", {"If-Match": 'TAG "x"'}, 400),
    ("304 before range", {"If-None-Match": "TAG", "Range": "bytes=0-1"}, 304),
    ("412 before range", {"If-Match": OTHER, "Range": "bytes=99-"}, 412),
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("case", READS, ids=[case[0] for case in READS])
def test_conditional_reads(
    api: Any, url: str, tag: str, method: str, case: tuple[str, dict[str, str], int]
) -> None:
    """Each precondition, and their order, as RFC 9110, 13.2.2."""
    _, headers, status = case
    date = api.call("HEAD", url).headers["last-modified"]
    filled = {
        field: value.replace("TAG", tag).replace("DATE", date) for field, value in headers.items()
    }
    answer = api.call(method, url, headers=filled)
    assert answer.status == status
    if status == 304:
        assert answer.body == b""
        assert answer.headers["etag"] == tag
        assert answer.headers["last-modified"] == date
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "content-type" not in answer.headers
    elif status >= 400 and method == "GET":
        assert answer.code in {"precondition_failed", "invalid_request"}


RANGES = [
    ("bytes=0-3", 206, "0-3", b"0123"),
    ("bytes=4-", 206, "4-9", b"456789"),
    ("bytes=9-9", 206, "9-9", b"9"),
    ("bytes=5-99", 206, "5-9", b"56789"),
    ("bytes=-3", 206, "7-9", b"789"),
    ("bytes=-99", 206, "0-9", DATA),
    ("bytes=0-", 206, "0-9", DATA),
    ("BYTES=0-0", 206, "0-0", b"0"),
    ("bytes=0-1,2-3", 206, "0-3", b"0123"),
    ("bytes=4-5, 0-4 ,", 206, "0-5", b"012345"),
    ("bytes=0-0,99-", 206, "0-0", b"0"),
    ("bytes=" + "0" * 500 + "1-2", 206, "1-2", b"12"),
    ("bytes=1-" + "9" * 500, 206, "1-9", b"123456789"),
    ("bytes=3-1", 200, None, DATA),
    ("bytes=a-b", 200, None, DATA),
    ("bytes=", 200, None, DATA),
    ("bytes=-", 200, None, DATA),
    ("bytes 0-1", 200, None, DATA),
    ("bytes=0-1,x", 200, None, DATA),
    ("bytes=+1-2", 200, None, DATA),
    ("pages=1-2", 200, None, DATA),
    ("bytes=10-", 416, None, None),
    ("bytes=-0", 416, None, None),
    ("bytes=99-100,50-", 416, None, None),
]


@pytest.mark.parametrize("case", RANGES, ids=[case[0][:30] for case in RANGES])
def test_ranges(
    api: Any, url: str, tag: str, case: tuple[str, int, str | None, bytes | None]
) -> None:
    """One range is a 206, a malformed one is ignored, an empty one is a 416 that tells the size."""
    header, status, part, body = case
    answer = api.call("GET", url, headers={"Range": header})
    assert answer.status == status
    if status == 416:
        assert answer.code == "range_not_satisfiable"
        assert answer.headers["content-range"] == "bytes */10"
        return
    assert answer.body == body
    assert answer.headers["etag"] == tag
    assert answer.headers["repr-digest"] == api.repr_digest(DATA)
    assert answer.headers.get("content-range") == (part and f"bytes {part}/10")


def test_more_than_sixteen_ranges_are_too_many(api: Any, base: str) -> None:
    """Seventeen that do not merge are 416, many that do are one."""
    api.put(f"{base}/k", bytes(100))
    apart = ",".join(f"{at * 3}-{at * 3}" for at in range(17))
    touching = ",".join(f"{at}-{at}" for at in range(50))
    assert api.call("GET", f"{base}/k", headers={"Range": f"bytes={apart}"}).status == 416
    merged = api.call("GET", f"{base}/k", headers={"Range": f"bytes={touching}"})
    assert merged.headers["content-range"] == "bytes 0-49/100"


def test_ranges_of_nothing(api: Any, base: str) -> None:
    """An empty object has no first byte; its last bytes are all of it."""
    api.put(f"{base}/k", b"")
    assert api.call("GET", f"{base}/k", headers={"Range": "bytes=0-"}).status == 416
    assert api.call("GET", f"{base}/k", headers={"Range": "bytes=-1"}).status == 200


def test_head_ignores_range(api: Any, url: str) -> None:
    """Ranges are for GET."""
    answer = api.call("HEAD", url, headers={"Range": "bytes=99-"})
    assert answer.status == 200
    assert answer.headers["content-length"] == "10"


@pytest.mark.parametrize(
    ("condition", "status"),
    [("TAG", 206), ("W/TAG", 200), (OTHER, 200), (PAST, 200), ("rubbish", 200), ("*", 200)],
)
def test_if_range(api: Any, url: str, tag: str, condition: str, status: int) -> None:
    """The range counts only while the object is still the one that the client has a part of."""
    headers = {"Range": "bytes=1-2", "If-Range": condition.replace("TAG", tag)}
    assert api.call("GET", url, headers=headers).status == status


def test_a_large_range(api: Any, base: str) -> None:
    """A range over many chunks has exactly its bytes."""
    data = bytes(index * 11 % 253 for index in range(3_000_000))
    api.put(f"{base}/k", data)
    answer = api.call("GET", f"{base}/k", headers={"Range": "bytes=100001-2900000"})
    assert answer.body == data[100001:2900001]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_create_only(api: Any, base: str, tenant: str, method: str) -> None:
    """If-None-Match: * lets the first upload through and fails the second with 412."""
    url = f"{base}/k" if method == "PUT" else f"/v1/objects?namespace=ns&tenant_id={tenant}&key=k"
    headers = {"If-None-Match": "*"}
    assert api.call(method, url, headers=headers, body=b"1").status == 201
    answer = api.call(method, url, headers=headers, body=b"2")
    assert (answer.status, answer.code) == (412, "precondition_failed")
    assert api.call("GET", f"{base}/k").body == b"1"


def test_compare_and_swap(api: Any, base: str) -> None:
    """PUT and DELETE with If-Match act on the object that the client has seen, or not at all."""
    first = api.call("PUT", f"{base}/k", body=b"1").headers["etag"]
    second = api.call("PUT", f"{base}/k", body=b"2", headers={"If-Match": first})
    assert second.status == 200
    lost = api.call("PUT", f"{base}/k", body=b"3", headers={"If-Match": first})
    assert (lost.status, lost.code) == (412, "precondition_failed")
    assert api.call("DELETE", f"{base}/k", headers={"If-Match": first}).status == 412
    assert api.call("GET", f"{base}/k").body == b"2"
    held = {"If-Match": f'"x", {second.headers["etag"]}'}
    assert api.call("DELETE", f"{base}/k", headers=held).status == 204


def test_put_unless_it_is_there_already(api: Any, base: str) -> None:
    """If-None-Match with a tag stops a PUT of what is stored, and no other."""
    tag = api.call("PUT", f"{base}/k", body=b"1").headers["etag"]
    assert api.call("PUT", f"{base}/k", body=b"1", headers={"If-None-Match": tag}).status == 412
    other = {"If-None-Match": f'{OTHER}, "x"'}
    assert api.call("PUT", f"{base}/k", body=b"2", headers=other).status == 200


def test_delete_by_id_with_a_condition(api: Any, base: str, tenant: str) -> None:
    """By id too the tag decides."""
    stored = api.put(f"{base}/k", DATA)
    url = f"/v1/objects/{stored['id']}?tenant_id={tenant}"
    assert api.call("DELETE", url, headers={"If-Match": OTHER}).status == 412
    assert api.call("DELETE", url, headers={"If-Match": "*"}).status == 204
