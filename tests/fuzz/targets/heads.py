"""What the head of a request says: range, path, query, digests, conditions and other fields."""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import quote, quote_plus, unquote

from hypothesis import strategies as st

from juststorage.domain import ContentHash
from juststorage_api._http import conditions, dates, digests, headers, path, query, ranges
from juststorage_api._http.idempotency import idempotency_key
from juststorage_api._http.percent import decode
from tests.fuzz.fuzzing import Target
from tests.fuzz.inputs import bytes_near, sentences

__all__ = ["TARGETS"]

_HASH = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
_FIELD = digests.repr_digest(ContentHash(_HASH)) or b""
_ETAG = b'"' + _HASH.encode() + b'"'
_NUMBERS = (b"0", b"1", b"5", b"00007", b"9" * 18, b"9" * 19, b"9" * 5000, b"\xb2")


def read_range(value: tuple[bytes, int]) -> str | None:
    """Spans lie within the content, apart from each other; asked for as they are they come back."""
    header, size = value
    spans = ranges.parse_range(header, size)
    if spans is None:
        return "ignored"
    assert 1 <= len(spans) <= ranges.RANGES_MAX
    for start, length in spans:
        assert 0 <= start < start + length <= size, spans
    for before, after in pairwise(sorted(spans)):
        assert before.start + before.length < after.start, spans
    asked = b", ".join(b"%d-%d" % (start, start + length - 1) for start, length in spans)
    assert ranges.parse_range(b"bytes=" + asked, size) == spans
    return None


_RANGES = bytes_near(
    sentences(
        [b"0-4", b"-5", b"3-", b"0-0 ", b"2-2", b"\t4-4", b"-1", b"7-900", b""], b",", b"bytes="
    ),
    [b"bytes=", b"-", b",", b"=", b" ", b"\t", b"0-0,", b"2-2,", b"-1,", b"x=", *_NUMBERS],
)


def read_key(value: bytes) -> str | None:
    """A path gives names that, written as a path, are the same names. Logs take any path."""
    path.logged(path.BY_KEY_PREFIX + value)
    text = value.decode("utf-8", "replace")
    assert path.raw_path(text, None).isascii()
    names = path.by_key(path.BY_KEY_PREFIX + value)
    again = b"/".join(quote(name, safe="").encode() for name in names)
    assert path.by_key(path.BY_KEY_PREFIX + again) == names
    return None


_KEYS = bytes_near(
    [b"docs/acme/a/b.txt", b"docs/acme/%C3%A4%2F%2525", b"a/b/..", b"n/t/" + b"k" * 1024],
    [b"/", b"%", b"%2F", b"%2e", b"%00", b"%C3", b"%ED%A0%80", b"%E2%80%A8", b"..", b"+", b"\xff",
     "ä".encode(), b"js_" + b"0" * 12 + b"_" + b"A" * 43, b"docs", b"%25"],
)  # fmt: skip

_KNOWN = frozenset({"namespace", "tenant_id", "prefix", "limit", "cursor", "key"})


def read_query(value: bytes) -> str | None:
    """Parameters, written as a form, are the same parameters."""
    found = query.parse_query(value, _KNOWN)
    again = "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in found.items())
    assert query.parse_query(again.encode(), _KNOWN) == found
    for text in found.values():
        assert query.shown(text).isprintable()
    return None


_QUERIES = bytes_near(
    sentences(
        [b"namespace=docs", b"limit=20", b"prefix=a%2Fb+c", b"tenant_id=", b"key=%C3%A4"], b"&"
    ),
    [b"&", b"=", b"%", b"+", b";", b"%26", b"%3D", b"%00", b"%FF", b"\xff", b"key=", b"limit=",
     b"prefix", b"cursor", b"namespace=a&namespace=b"],
)  # fmt: skip


def read_digest(value: dict[bytes, bytes]) -> str | None:
    """An announced digest, answered as a field, is the same digest."""
    digests.wants_sha256(value.get(b"repr-digest"))
    found = digests.announced_digests(value)
    for each in found:
        field = digests.repr_digest(each)
        assert field is not None, "only sha256 is taken"
        assert digests.announced_digests({b"repr-digest": field}) == (each,)
    return None if found else "ignored"


_DIGESTS = st.dictionaries(
    st.sampled_from([b"repr-digest", b"content-digest", b"x-content-hash"]),
    bytes_near(
        sentences(
            [_FIELD, b"md5=:AA==:", _FIELD + b";a=1;b", b'a="q\\""', b"b=1.25;x", b"d", b"e=@1",
             b'c=(1 "a" tok);y=:AA==:', b"f=*t/x:y"],
            b", ",
        )
        | st.just(_HASH.encode()),
        [b"sha-256=", b"sha-256", b"sha256:", b":", b"=", b",", b";", b"(", b")", b" ", b'"', b"\\",
         b"?1", b"@1", b"*", b"a", b"a ", b"1", b"(a ", b"a;b", b"a=(", b"\t", b"\xff"],
    ),
    min_size=1,
)  # fmt: skip


def read_conditions(value: dict[bytes, bytes]) -> str | None:
    """Reads and writes judge them; a date that was read is written as a date that is the same."""
    for text in value.values():
        moment = dates.parse_date(text)
        assert moment is None or dates.parse_date(dates.format_date(moment)) == moment
    applies = conditions.range_applies(value.get(b"if-range"), _ETAG, 784_111_777, 784_111_779)
    assert applies in {True, False}
    read = conditions.judge_read(value, _ETAG, 784_111_777)
    assert read in conditions.Outcome
    asked = conditions.write_conditions(value)
    assert asked.hold_for(ContentHash(_HASH)) in {True, False}
    return None


_CONDITIONS = st.dictionaries(
    st.sampled_from([b"if-match", b"if-none-match", b"if-range", b"if-modified-since",
                     b"if-unmodified-since"]),
    bytes_near(
        sentences([_ETAG, b"W/" + _ETAG, b'"a"', b' W/"c" ', b""], b",")
        | st.sampled_from(
            [b"*", b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT",
             b"Sun Nov  6 08:49:37 1994", b"Thu, 01 Jan 0001 00:00:00 GMT",
             b"Fri, 31 Dec 9999 23:59:60 GMT"]
        ),
        [b'"', b"W/", b"*", b",", b" ", b"\t", b'""', b'"a",', b"\xff", b"sha256:", b"0000", b"29",
         b"Feb", b"99", b":60", b" GMT", b"never:" + b"0" * 32],
    ),
    min_size=1,
)  # fmt: skip


def read_head(value: list[tuple[bytes, bytes]]) -> str | None:
    """Lengths, types, codings, idempotency keys; any text as a file name is one line of ASCII."""
    fields = headers.fields_of(value)
    length = headers.body_length(fields)
    assert length is None or 0 <= length < 10**18
    media_type = headers.content_type(fields)
    assert headers.media_type(media_type) == media_type
    headers.refuse_form(media_type)
    headers.refuse_coding(fields)
    key = idempotency_key(fields, ("PUT", "docs"), 1.0)
    assert key is None or key.text.encode() == fields[b"idempotency-key"]
    try:
        filename = decode(fields.get(b"x-other", b"a"), plus=True)
    except ValueError:
        return None
    disposition = headers.attachment(filename).decode("ascii")
    assert disposition.isprintable()
    _, is_extended, extended = disposition.partition("; filename*=UTF-8''")
    plain = disposition.split('"')[1]
    assert (unquote(extended, errors="strict") if is_extended else plain) == filename
    return None


_HEADS = st.lists(
    st.tuples(
        st.sampled_from([b"content-length", b"content-type", b"content-encoding", b"if-match",
                         b"transfer-encoding", b"idempotency-key", b"x-other"]),
        bytes_near(
            [b"5", b"text/plain; charset=utf-8", b'a/b; c="d\\"; e"', b"identity", b"chunked",
             b"multipart/form-data; boundary=x", b"8e03978e-40d5-43dd-bc93-6894a57f9324",
             b"r%C3%A9sum%C3%A9.pdf"],
            [b"/", b";", b"=", b'"', b"\\", b" ", b"\t", b",", b"gzip", b"a=b;", b"; ;", b"%", b"+",
             b"%22", b"%0A", b"\xff", *_NUMBERS],
        ),
    ),
    max_size=4,
)  # fmt: skip

TARGETS = {
    "range": Target(st.tuples(_RANGES, st.sampled_from([0, 1, 5, 1000, 10**13])), read_range),
    "key": Target(_KEYS, read_key),
    "query": Target(_QUERIES, read_query),
    "digest": Target(_DIGESTS, read_digest),
    "conditions": Target(_CONDITIONS, read_conditions),
    "head": Target(_HEADS, read_head),
}
