"""What a client may get wrong: the documented status and code, nothing stored, never a 5xx.

Longer than most: it is one table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

ID = "01a21098-f290-7cc4-9518-d64de021c446"
BY_KEY = "/v1/objects/by-key"
POST = "/v1/objects?tenant_id=t&namespace=ns"
DEEP = json.dumps({"a": 1}).replace("1", "[" * 40 + "]" * 40)
WRONG = "sha-256=:" + "A" * 43 + "=:"


@dataclass
class Case:
    """A request, and how it must be refused."""

    method: str
    url: str
    status: int = 400
    code: str = "invalid_request"
    headers: dict[str, str] | list[tuple[str, str]] = field(default_factory=dict)
    body: bytes | None = None
    key: str | None = "admin"


def put(url: str = f"{BY_KEY}/ns/t/k", **options: Any) -> Case:
    """A PUT of five bytes."""
    return Case("PUT", url, body=options.pop("body", b"hello"), **options)


def post(url: str = POST, **options: Any) -> Case:
    """A POST of five bytes."""
    return Case("POST", url, body=options.pop("body", b"hello"), **options)


NAMES = {
    "empty": "",
    "129 characters": "a" * 129,
    "leading dot": ".a",
    "leading hyphen": "-a",
    "two dots": "..",
    "encoded dots": "%2e%2e",
    "slash": "a%2Fb",
    "backslash": "a%5Cb",
    "space": "a%20b",
    "NUL": "a%00",
    "newline": "a%0A",
    "not ASCII": "%C3%A4",
    "not UTF-8": "%FF",
    "bad escape": "%zz",
    "half an escape": "a%2",
    "percent": "%25",
}

KEYS = {
    "empty": "",
    "1025 bytes": "k" * 1025,
    "1025 bytes of two each": "%C3%A4" * 513,
    "NUL": "a%00b",
    "newline": "a%0Ab",
    "tab": "%09",
    "DEL": "%7F",
    "C1": "%C2%85",
    "line separator": "%E2%80%A8",
    "not UTF-8": "%FF",
    "overlong UTF-8": "%C0%AF",
    "surrogate": "%ED%A0%80",
    "cut off UTF-8": "%C3",
    "bad escape": "%G0",
    "half an escape": "a%",
}

IDS = {
    "word": "nothing",
    "too short": ID[:-1],
    "too long": ID + "0",
    "no hyphens": ID.replace("-", ""),
    "braces": f"%7B{ID}%7D",
    "not hex": ID.replace("a", "g"),
    "NUL": ID[:-1] + "%00",
    "bad escape": ID[:-1] + "%z",
    "not UTF-8": "%FF",
    "dots": "..",
    "encoded slash": "a%2Fb",
    "urn": f"urn:uuid:{ID}",
}

UPLOAD_HEADERS: dict[str, tuple[dict[str, str] | list[tuple[str, str]], int, str]] = {
    "metadata empty": ({"X-Object-Metadata": ""}, 400, "invalid_metadata"),
    "metadata no JSON": ({"X-Object-Metadata": "{"}, 400, "invalid_metadata"),
    "metadata list": ({"X-Object-Metadata": "[1]"}, 400, "invalid_metadata"),
    "metadata string": ({"X-Object-Metadata": '"a"'}, 400, "invalid_metadata"),
    "metadata null": ({"X-Object-Metadata": "null"}, 400, "invalid_metadata"),
    "metadata trailing": ({"X-Object-Metadata": "{} {}"}, 400, "invalid_metadata"),
    "metadata NaN": ({"X-Object-Metadata": '{"a":NaN}'}, 400, "invalid_metadata"),
    "metadata huge number": ({"X-Object-Metadata": '{"a":1e999}'}, 400, "invalid_metadata"),
    "metadata NUL": ({"X-Object-Metadata": '{"a":"\\u0000"}'}, 400, "invalid_metadata"),
    "metadata surrogate": ({"X-Object-Metadata": '{"a":"\\ud800"}'}, 400, "invalid_metadata"),
    "metadata not ASCII": ({"X-Object-Metadata": '{"a":"\xe4"}'}, 400, "invalid_metadata"),
    "metadata deep": ({"X-Object-Metadata": DEEP}, 400, "invalid_metadata"),
    "metadata over 16 KiB": (
        {"X-Object-Metadata": json.dumps({"a": "x" * 16384})},
        400,
        "invalid_metadata",
    ),
    "metadata twice": (
        [("X-Object-Metadata", "{}"), ("X-Object-Metadata", "{}")],
        400,
        "invalid_request",
    ),
    "hash wrong": ({"X-Content-Hash": "sha256:" + "0" * 64}, 400, "digest_mismatch"),
    "hash upper case": ({"X-Content-Hash": "sha256:" + "A" * 64}, 400, "invalid_request"),
    "hash without algorithm": ({"X-Content-Hash": "0" * 64}, 400, "invalid_request"),
    "hash of another algorithm": (
        {"X-Content-Hash": "sha512:" + "0" * 128},
        400,
        "invalid_request",
    ),
    "hash too short": ({"X-Content-Hash": "sha256:" + "0" * 62}, 400, "invalid_request"),
    "hash empty": ({"X-Content-Hash": ""}, 400, "invalid_request"),
    "hash not ASCII": ({"X-Content-Hash": "sha256:\xe4"}, 400, "invalid_request"),
    "hash twice": (
        [("X-Content-Hash", "sha256:" + "0" * 64)] * 2,
        400,
        "invalid_request",
    ),
    "repr-digest wrong": ({"Repr-Digest": WRONG}, 400, "digest_mismatch"),
    "content-digest wrong": ({"Content-Digest": WRONG}, 400, "digest_mismatch"),
    "repr-digest wrong beside others": (
        {"Repr-Digest": f"unixsum=:AA==:, {WRONG}"},
        400,
        "digest_mismatch",
    ),
    "repr-digest on two lines, the second wrong": (
        [("Repr-Digest", "md5=:AA==:"), ("Repr-Digest", WRONG)],
        400,
        "digest_mismatch",
    ),
    "repr-digest no dictionary": ({"Repr-Digest": "=:AA==:"}, 400, "invalid_request"),
    "repr-digest empty": ({"Repr-Digest": ""}, 400, "invalid_request"),
    "repr-digest no bytes": ({"Repr-Digest": 'sha-256="abc"'}, 400, "invalid_request"),
    "repr-digest no value": ({"Repr-Digest": "sha-256"}, 400, "invalid_request"),
    "repr-digest hex": ({"Repr-Digest": "sha-256=" + "0" * 64}, 400, "invalid_request"),
    "repr-digest too short": ({"Repr-Digest": "sha-256=:AAAA:"}, 400, "invalid_request"),
    "repr-digest not base64": ({"Repr-Digest": "sha-256=:A:"}, 400, "invalid_request"),
    "repr-digest unclosed": ({"Repr-Digest": WRONG[:-1]}, 400, "invalid_request"),
    "repr-digest trailing comma": ({"Repr-Digest": "md5=:AA==:,"}, 400, "invalid_request"),
    "repr-digest upper case": ({"Repr-Digest": "SHA-256=:AA==:"}, 400, "invalid_request"),
    "content-type no type": ({"Content-Type": "text"}, 400, "invalid_request"),
    "content-type spaces": ({"Content-Type": "text / plain"}, 400, "invalid_request"),
    "content-type not ASCII": ({"Content-Type": "text/pl\xe4in"}, 400, "invalid_request"),
    "content-type 256 long": ({"Content-Type": "a/" + "b" * 254}, 400, "invalid_request"),
    "content-type open quote": ({"Content-Type": 'a/b; c="'}, 400, "invalid_request"),
    "content-type twice": (
        [("Content-Type", "a/b"), ("Content-Type", "c/d")],
        400,
        "invalid_request",
    ),
    "coding gzip": ({"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
    "coding identity and br": (
        {"Content-Encoding": "identity, br"},
        415,
        "unsupported_media_type",
    ),
    "if-none-match unquoted": ({"If-None-Match": "abc"}, 400, "invalid_request"),
    "if-none-match empty": ({"If-None-Match": ""}, 400, "invalid_request"),
    "if-none-match half": ({"If-None-Match": '"abc'}, 400, "invalid_request"),
    "if-unmodified-since": (
        {"If-Unmodified-Since": "Wed, 25 Nov 2026 02:46:28 GMT"},
        400,
        "invalid_request",
    ),
    "credentials two": ({"Authorization": "ApiKey x"}, 400, "invalid_request"),
    "too large": ({"Content-Length": "20000001"}, 413, "body_too_large"),
}

CASES: dict[str, Case] = {
    **{f"PUT namespace {name}": put(f"{BY_KEY}/{text}/t/k", code="invalid_name")
       for name, text in NAMES.items()},
    **{f"PUT tenant {name}": put(f"{BY_KEY}/ns/{text}/k", code="invalid_name")
       for name, text in NAMES.items()},
    **{f"POST namespace {name}": post(f"/v1/objects?tenant_id=t&namespace={text}",
                                      code="invalid_request" if name in {
                                          "not UTF-8", "bad escape", "half an escape"
                                      } else "invalid_name")
       for name, text in NAMES.items()},
    **{f"LIST tenant {name}": Case("GET", f"/v1/objects?tenant_id={text}",
                                   code="invalid_request" if name in {
                                       "not UTF-8", "bad escape", "half an escape"
                                   } else "invalid_name")
       for name, text in NAMES.items()},
    **{f"{method} key {name}": Case(method, f"{BY_KEY}/ns/t/{text}", code="invalid_name",
                                    body=b"hello" if method == "PUT" else None)
       for method in ("PUT", "GET", "DELETE") for name, text in KEYS.items()},
    **{f"POST key {name}": post(f"{POST}&key={text}",
                                code="invalid_request" if name in {
                                    "not UTF-8", "bad escape", "half an escape", "overlong UTF-8",
                                    "surrogate", "cut off UTF-8"
                                } else "invalid_name")
       for name, text in KEYS.items()},
    **{f"{method} id {name}": Case(method, f"/v1/objects/{text}?tenant_id=t")
       for method in ("GET", "DELETE") for name, text in IDS.items()},
    "metadata of a malformed id": Case("GET", "/v1/objects/nothing/metadata?tenant_id=t"),
    **{f"PUT {name}": put(headers=headers, status=status, code=code)
       for name, (headers, status, code) in UPLOAD_HEADERS.items()},
    **{f"POST {name}": post(headers=headers, status=status, code=code)
       for name, (headers, status, code) in UPLOAD_HEADERS.items()},
    # queries
    "POST without namespace": post("/v1/objects?tenant_id=t"),
    "POST without tenant": post("/v1/objects?namespace=ns"),
    "POST unknown parameter": post(f"{POST}&storageclass=hot"),
    "POST repeated parameter": post(f"{POST}&namespace=ns"),
    "POST nameless parameter": post(f"{POST}&=x"),
    "POST storage class": post(f"{POST}&storage_class=warm"),
    "POST storage class empty": post(f"{POST}&storage_class="),
    "POST storage class upper": post(f"{POST}&storage_class=HOT"),
    "POST If-Match": post(headers={"If-Match": "*"}),
    "PUT unknown parameter": put(f"{BY_KEY}/ns/t/k?tenant_id=t"),
    "PUT If-Match unquoted": put(headers={"If-Match": "x"}),
    "PUT If-Match of nothing": put(
        headers={"If-Match": '"x"'}, status=412, code="precondition_failed"
    ),
    "PUT If-Match star": put(headers={"If-Match": "*"}, status=412, code="precondition_failed"),
    "PUT If-Match weak": put(
        headers={"If-Match": 'W/"sha256:' + "0" * 64 + '"'}, status=412, code="precondition_failed"
    ),
    "GET unknown parameter": Case("GET", f"/v1/objects/{ID}?tenant_id=t&download=1"),
    "GET repeated parameter": Case("GET", f"/v1/objects/{ID}?tenant_id=t&tenant_id=t"),
    "GET without tenant": Case("GET", f"/v1/objects/{ID}"),
    "GET by key with tenant": Case("GET", f"{BY_KEY}/ns/t/k?tenant_id=t"),
    "DELETE unknown parameter": Case("DELETE", f"/v1/objects/{ID}?tenant_id=t&force=1"),
    "DELETE by key unknown parameter": Case("DELETE", f"{BY_KEY}/ns/t/k?force=1"),
    "DELETE If-Match unquoted": Case(
        "DELETE", f"{BY_KEY}/ns/t/k", headers={"If-Match": "x"}
    ),
    "DELETE by key If-Match of nothing": Case(
        "DELETE", f"{BY_KEY}/ns/t/k", 412, "precondition_failed", headers={"If-Match": '"x"'}
    ),
    "DELETE by id If-Match of nothing": Case(
        "DELETE", f"/v1/objects/{ID}?tenant_id=t", 404, "not_found", headers={"If-Match": '"x"'}
    ),
    "metadata unknown parameter": Case("GET", f"/v1/objects/{ID}/metadata?tenant_id=t&x="),
    "metadata repeated parameter": Case(
        "GET", f"/v1/objects/{ID}/metadata?tenant_id=t&tenant_id=t"
    ),
    "health unknown parameter": Case("GET", "/health?verbose=1", key=None),
    # lists
    **{f"LIST limit {text or 'empty'}": Case("GET", f"/v1/objects?tenant_id=t&limit={text}")
       for text in ("", "0", "-1", "1001", "ten", "1.5", "%C2%B2", "9" * 30)},
    **{f"LIST cursor {name}": Case(
        "GET", f"/v1/objects?tenant_id=t&cursor={text}", code="invalid_cursor")
       for name, text in {
           "word": "next", "empty base64": "====", "zeros": "A" * 64, "long": "A" * 9000,
           "not base64": "%21%21", "not ASCII": "%C3%A4", "NUL": "%00", "slash": "AAAA%2FAAA",
       }.items()},
    "LIST unknown parameter": Case("GET", "/v1/objects?tenant_id=t&offset=3"),
    "LIST repeated parameter": Case("GET", "/v1/objects?tenant_id=t&limit=1&limit=1"),
    "LIST bad escape": Case("GET", "/v1/objects?tenant_id=t&prefix=%g1"),
    "LIST prefix NUL": Case("GET", "/v1/objects?tenant_id=t&prefix=%00", code="invalid_name"),
    "LIST prefix long": Case(
        "GET", f"/v1/objects?tenant_id=t&prefix={'k' * 1025}", code="invalid_name"
    ),
    "LIST namespace bad": Case(
        "GET", "/v1/objects?tenant_id=t&namespace=-", code="invalid_name"
    ),
    # paths and methods
    "unknown route": Case("GET", "/v1/nothing", 404, "not_found"),
    "unknown route below": Case("GET", f"/v1/objects/{ID}/bytes", 404, "not_found"),
    "unknown route outside": Case("GET", "/nothing", 404, "not_found", key=None),
    "root": Case("GET", "/", 404, "not_found", key=None),
    "by-key without key": Case("GET", f"{BY_KEY}/ns/t", 404, "not_found"),
    "by-key without anything": Case("GET", f"{BY_KEY}/", 404, "not_found"),
    "trailing slash": Case("GET", "/v1/objects/?tenant_id=t", 404, "not_found"),
    "double slash": Case("GET", "/v1//objects?tenant_id=t", 404, "not_found"),
    "encoded route": Case("GET", "/v1/object%73?tenant_id=t", 404, "not_found"),
    "encoded v1": Case("GET", "/%76%31/objects?tenant_id=t", 404, "not_found", key=None),
    "leading double slash": Case("GET", "//v1/objects?tenant_id=t", 404, "not_found", key=None),
    "dots around v1": Case("GET", "/health/../v1/objects", 404, "not_found", key=None),
    "PATCH collection": Case("PATCH", "/v1/objects", 405, "method_not_allowed"),
    "PUT by id": Case("PUT", f"/v1/objects/{ID}", 405, "method_not_allowed", body=b"x"),
    "POST by key": Case("POST", f"{BY_KEY}/ns/t/k", 405, "method_not_allowed", body=b"x"),
    "DELETE metadata": Case("DELETE", f"/v1/objects/{ID}/metadata", 405, "method_not_allowed"),
    "POST health": Case("POST", "/health", 405, "method_not_allowed", key=None),
    "odd method": Case("BREW", f"{BY_KEY}/ns/t/k", 405, "method_not_allowed"),
    "unknown schema page": Case("GET", "/schema/nothing", 404, "not_found", key=None),
    # credentials come before everything else under /v1
    **{f"unauthenticated {method} {url}": Case(method, url, 401, "unauthenticated", key=None)
       for method, url in (
           ("GET", "/v1"), ("GET", "/v1/"), ("GET", "/v1/nothing"), ("BREW", "/v1/objects"),
           ("GET", "/v1/objects?x=1"), ("GET", "/v1/objects/nothing"), ("GET", f"{BY_KEY}/-/-/"),
           ("GET", "/v1//objects"), ("GET", "/v1/%zz"), ("DELETE", f"{BY_KEY}/ns/t/%00"),
       )},
    "unauthenticated upload": put(key=None, status=401, code="unauthenticated"),
    "unauthenticated bad upload": put(
        f"{BY_KEY}/-/-/?x=1", key=None, status=401, code="unauthenticated",
        headers=[("Content-Type", "x"), ("Content-Type", "y"), ("Content-Encoding", "gzip")],
    ),
    "unknown key": Case("GET", "/v1/objects", 401, "unauthenticated", key="stranger"),
    "malformed key": Case(
        "GET", "/v1/objects", 401, "unauthenticated", {"X-API-Key": "short"}, key=None
    ),
    "empty key": Case("GET", "/v1/objects", 401, "unauthenticated", {"X-API-Key": ""}, key=None),
    "basic": Case(
        "GET", "/v1/objects", 401, "unauthenticated", {"Authorization": "Basic eDp5"}, key=None
    ),
    "no scheme": Case(
        "GET", "/v1/objects", 401, "unauthenticated", {"Authorization": "x"}, key=None
    ),
    "key twice": Case(
        "GET", "/v1/objects", headers=[("X-API-Key", "a" * 30), ("X-API-Key", "b" * 30)], key=None
    ),
    "authorization twice": Case(
        "GET", "/v1/objects", headers=[("Authorization", "ApiKey a")] * 2, key=None
    ),
    # filename
    **{f"filename {name}": Case("GET", f"{BY_KEY}/ns/kept/k?filename={text}")
       for name, text in {
           "empty": "", "newline": "a%0Ab", "NUL": "%00", "C1": "%C2%9B", "long": "x" * 256,
           "not UTF-8": "%FF", "line separator": "%E2%80%A9",
       }.items()},
}  # fmt: skip


def test_the_table_is_long() -> None:
    """There are at least 150 ways to be wrong, each of them once."""
    assert len(CASES) >= 150


@pytest.fixture(scope="module", autouse=True)
def kept(api: Any) -> None:
    """One object that is there throughout."""
    api.put(f"{BY_KEY}/ns/kept/k", b"hello")


@pytest.fixture(scope="module")
def document(api: Any) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = api.call("GET", "/schema/openapi.json", key=None).json
    return found


def _operation(document: dict[str, Any], case: Case) -> dict[str, Any] | None:
    """What the document says about a call; None where it has no such path or method."""
    path = case.url.partition("?")[0]
    if path.startswith(f"{BY_KEY}/"):
        template = f"{BY_KEY}/{{namespace}}/{{tenant_id}}/{{key}}"
        if path.count("/") < 6:
            return None
    elif path.startswith("/v1/objects/") and path.count("/") == 3 and len(path) > 12:
        template = "/v1/objects/{id}"
    elif path.startswith("/v1/objects/") and path.endswith("/metadata"):
        template = "/v1/objects/{id}/metadata"
    else:
        template = path
    operation: dict[str, Any] | None = document["paths"].get(template, {}).get(case.method.lower())
    return operation


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_bad_input_is_refused(api: Any, document: dict[str, Any], case: Case) -> None:
    """Each mistake has its status and code, as the OpenAPI document says, and stores nothing."""
    before = api.state()
    answer = api.call(case.method, case.url, key=case.key, headers=case.headers, body=case.body)
    assert (answer.status, answer.code) == (case.status, case.code), answer.body
    if answer.status == 405:
        assert case.method not in answer.headers["allow"].split(", ")
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)
    operation = _operation(document, case)
    if operation is not None:
        response = operation["responses"][str(case.status)]
        assert case.code in response["content"]["application/problem+json"]["examples"]
    after = api.state()
    assert after == before
    assert after["staged"] == 0


GOOD: dict[str, Case] = {
    "key of 1024 bytes": put(f"{BY_KEY}/ns/good/{'k' * 1024}", status=201),
    "key of 1024 bytes, two each": put(f"{BY_KEY}/ns/good/{'%C3%A4' * 512}", status=201),
    "namespace of 128": put(f"{BY_KEY}/{'n' * 128}/good/k", status=201),
    "key of dots": put(f"{BY_KEY}/ns/good/%2e%2e/./..", status=201),
    "key of slashes": put(f"{BY_KEY}/ns/good////", status=201),
    "key with a percent": put(f"{BY_KEY}/ns/good/%2525", status=201),
    "key with question mark": put(f"{BY_KEY}/ns/good/a%3Fb%23", status=201),
    "key with plus": put(f"{BY_KEY}/ns/good/a+b", status=201),
    "key beyond the BMP": put(f"{BY_KEY}/ns/good/%F0%9F%98%80", status=201),
    "metadata of 16 KiB": put(
        f"{BY_KEY}/ns/good/m",
        status=201,
        headers={"X-Object-Metadata": json.dumps({"a": "x" * 16375})},
    ),
    "identity coding": put(
        f"{BY_KEY}/ns/good/i", status=201, headers={"Content-Encoding": "Identity"}
    ),
    "unknown digests": put(
        f"{BY_KEY}/ns/good/d",
        status=201,
        headers={"Repr-Digest": 'sha-512=:AA==:, x=1.5;q="a", y=(1 2);z, w=?0, v=@12, u=tok'},
    ),
    "content type with parameters": put(
        f"{BY_KEY}/ns/good/c",
        status=201,
        headers={"Content-Type": 'text/plain; charset=utf-8;x="a\\"b"'},
    ),
    "content type of 255": put(
        f"{BY_KEY}/ns/good/l", status=201, headers={"Content-Type": "a/" + "b" * 253}
    ),
    "empty cursor and prefix": Case("GET", "/v1/objects?tenant_id=good&cursor=&prefix=", 200),
    "limit 1000": Case("GET", "/v1/objects?tenant_id=good&limit=1000", 200),
    "ampersands": Case("GET", "/v1/objects?&tenant_id=good&&limit=1&", 200),
}


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD.keys())
def test_the_edge_of_what_is_allowed(api: Any, case: Case) -> None:
    """What lies just inside the limits works."""
    answer = api.call(case.method, case.url, key=case.key, headers=case.headers, body=case.body)
    assert answer.status == case.status, answer.body
