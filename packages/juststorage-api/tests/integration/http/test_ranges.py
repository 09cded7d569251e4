"""Several ranges in one answer: RFC 9110, 14.6 and 15.3.7.2, read by a parser that is not ours."""

from __future__ import annotations

from email.parser import BytesParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

DATA = bytes(index * 7 % 251 for index in range(1000))
LARGE = bytes(index * 11 % 253 for index in range(3_000_000))
PATH = "/v1/objects/by-key/ns/ranges"


@pytest.fixture(scope="module", autouse=True)
def kept(api: Any) -> None:
    """Objects that are there throughout."""
    api.put(f"{PATH}/k", DATA, headers={"Content-Type": "text/plain; charset=utf-8"})
    api.put(f"{PATH}/large", LARGE)
    api.put(f"{PATH}/breaks?storage_class=cold", LARGE)
    api.put(f"{PATH}/empty", b"")


def parts(answer: Any) -> list[tuple[str, str, bytes]]:
    """Content-Range, Content-Type and bytes of each part."""
    assert int(answer.headers["content-length"]) == len(answer.body)
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.body)
    assert message.get_content_type() == "multipart/byteranges" and not message.defects
    return [
        (part["Content-Range"], part["Content-Type"], part.get_payload(decode=True))
        for part in message.get_payload()
    ]


def test_parts(api: Any) -> None:
    """Each part tells its place and the stored type, in the order in which they were asked for."""
    answer = api.call("GET", f"{PATH}/k", headers={"Range": "bytes=900-, 0-1, 5-5"})
    assert answer.status == 206
    assert "content-range" not in answer.headers
    kind = "text/plain; charset=utf-8"
    assert parts(answer) == [
        ("bytes 900-999/1000", kind, DATA[900:]),
        ("bytes 0-1/1000", kind, DATA[:2]),
        ("bytes 5-5/1000", kind, DATA[5:6]),
    ]
    # What is said about the whole stays true of the whole.
    assert answer.headers["repr-digest"] == api.repr_digest(DATA)
    assert answer.headers["etag"] == f'"{api.digest(DATA)}"'
    assert answer.headers["content-security-policy"] == "sandbox"


def test_parts_of_a_large_object(api: Any) -> None:
    """Parts over many chunks have exactly their bytes, and the connection goes on."""
    ranges = "bytes=2000000-2999999,1-1500000,1700000-1700000"
    with api.connect() as wire:
        for _ in range(2):
            key = api.secret("admin")
            wire.sendall(
                f"GET {PATH}/large HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
                f"Range: {ranges}\r\n\r\n".encode()
            )
            found = [data for _, _, data in parts(api.read_answer(wire))]
            assert found == [LARGE[2000000:], LARGE[1:1500001], LARGE[1700000:1700001]]


def test_a_store_that_fails_between_parts(api: Any) -> None:
    """An answer in parts that cannot be completed does not look complete."""
    with api.connect() as wire:
        key = api.secret("admin")
        wire.sendall(
            f"GET {PATH}/breaks HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
            "Range: bytes=0-1000000,2000000-\r\n\r\n".encode()
        )
        received = bytearray()
        while data := wire.recv(65536):
            received += data
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    announced = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    assert len(body) < announced


def test_sixteen_are_served(api: Any) -> None:
    """The limit counts what is left after merging."""
    apart = [f"{at * 3}-{at * 3}" for at in range(17)]
    answer = api.call("GET", f"{PATH}/k", headers={"Range": f"bytes={','.join(apart[:16])},0-0"})
    assert [data for _, _, data in parts(answer)] == [DATA[at * 3 :][:1] for at in range(16)]
    answer = api.call("GET", f"{PATH}/k", headers={"Range": f"bytes={','.join(apart)}"})
    assert (answer.status, answer.code) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */1000"


@pytest.mark.parametrize(
    ("condition", "status"), [("TAG", 206), ('"other"', 200), ("W/TAG", 200), ("rubbish", 200)]
)
def test_if_range_with_parts(api: Any, condition: str, status: int) -> None:
    """Parts of another object than the client's are worth nothing: it gets all of this one."""
    tag = f'"{api.digest(DATA)}"'
    headers = {"Range": "bytes=0-1,5-6", "If-Range": condition.replace("TAG", tag)}
    answer = api.call("GET", f"{PATH}/k", headers=headers)
    assert answer.status == status
    assert answer.body == DATA if status == 200 else len(parts(answer)) == 2


POSITIONS = st.integers(0, 1200)
SPECS = st.one_of(
    st.tuples(POSITIONS, POSITIONS).map(lambda at: f"{min(at)}-{max(at)}"),
    POSITIONS.map(lambda at: f"{at}-"),
    POSITIONS.map(lambda at: f"-{at}"),
    st.sampled_from(["", "-", "x", "5-2", "1-2-3"]),
)


def wanted(spec: str, size: int) -> tuple[int, int] | None:
    """A model of one range: the first byte and the one behind the last; None if malformed."""
    first, dash, last = spec.partition("-")
    if not dash or not (first + last).isdigit():
        return None
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size


@settings(max_examples=150, deadline=None)
@given(specs=st.lists(SPECS, min_size=1, max_size=24), key=st.sampled_from(["k", "empty"]))
def test_ranges_against_a_model(api: Any, specs: list[str], key: str) -> None:
    """Whatever is asked: 200 with all, 206 with exactly the asked bytes, or 416 for none."""
    data = DATA if key == "k" else b""
    answer = api.call("GET", f"{PATH}/{key}", headers={"Range": f"bytes={','.join(specs)}"})
    bounds = [wanted(spec, len(data)) for spec in specs if spec]
    asked = {at for bound in bounds if bound for at in range(*bound)}
    groups = sum(at - 1 not in asked for at in asked)
    last_of_nothing = not data and any(spec[0] == "-" and spec != "-0" for spec in specs if spec)
    if not bounds or None in bounds or (last_of_nothing and not asked):
        assert (answer.status, answer.body) == (200, data)
    elif not 1 <= groups <= 16:
        assert (answer.status, answer.code) == (416, "range_not_satisfiable")
    else:
        assert answer.status == 206
        listed = [(answer.headers.get("content-range"), "", answer.body)]
        if groups > 1:
            listed = parts(answer)
        assert len(listed) == groups
        covered = set()
        for place, _, body in listed:
            first, last = map(int, place.removeprefix("bytes ").split("/")[0].split("-"))
            assert place.endswith("/1000")
            assert body == data[first : last + 1]
            covered |= set(range(first, last + 1))
        assert covered == asked
