"""Keys and paths: each has one meaning, whatever is in it, and none leads anywhere else."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.wire.wire import Service

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_text())
BY_KEY = "/v1/objects/by-key"

ID = "01a21098-f290-7cc4-9518-d64de021c446"

# -- keys, as they stand in a path, and what key that is; None where it is none ------------------


def _bytes() -> dict[str, str | None]:
    """Every byte, escaped, between two letters: ASCII, or the half of a character."""
    found: dict[str, str | None] = {}
    for byte in range(256):
        is_text = 0x20 <= byte < 0x7F
        found[f"a%{byte:02X}b"] = f"a{chr(byte)}b" if is_text else None
    return found


def _characters() -> dict[str, str | None]:
    """Characters of every kind: only those that control something are refused."""
    found: dict[str, str | None] = {}
    codes = [*range(0x80, 0x100), 0x0130, 0x0301, 0x05D0, 0x200B, 0x200D, 0x200F, 0x2028, 0x2029,
             0x202E, 0x2066, 0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1F600,
             0xE0001, 0x10FFFF]  # fmt: skip
    for code in codes:
        refused = code < 0xA0 or code in {0x2028, 0x2029}
        found[f"c{quote(chr(code))}"] = None if refused else f"c{chr(code)}"
    return found


def _plain() -> dict[str, str | None]:
    """What may stand in a target as it is. `?` and `#` end the path."""
    found: dict[str, str | None] = {}
    for code in range(0x21, 0x7F):
        if chr(code) not in '?#%"<>\\^`{|}[]':
            found[f"p{chr(code)}q"] = f"p{chr(code)}q"
    return found


ODD: dict[str, str | None] = {
    # dots and slashes mean themselves
    ".": ".",
    "..": "..",
    "...": "...",
    "%2e": ".",
    "%2E%2E": "..",
    "./k": "./k",
    "../k": "../k",
    "../../../../etc/passwd": "../../../../etc/passwd",
    "..%2f..%2Fetc%2fpasswd": "../../etc/passwd",
    "%2e%2e%2f%2e%2e": "../..",
    "..%5c..%5cwindows": "..\\..\\windows",
    "..%c0%af..": None,
    "a/b": "a/b",
    "a%2Fb/": "a/b/",
    "a//b": "a//b",
    "/": "/",
    "//": "//",
    "/a": "/a",
    "a/": "a/",
    "a/.": "a/.",
    "a/..": "a/..",
    "a/./b": "a/./b",
    "a/../b": "a/../b",
    "~": "~",
    "~root/.ssh/id_rsa": "~root/.ssh/id_rsa",
    "%2Fetc%2Fpasswd": "/etc/passwd",
    "file:///etc/passwd": "file:///etc/passwd",
    "http://169.254.169.254/": "http://169.254.169.254/",
    # decoded once
    "%2525": "%25",
    "%252e%252e": "%2e%2e",
    "%25": "%",
    "a+b": "a+b",
    "a%20b": "a b",
    "a%2Bb": "a+b",
    "%": None,
    "%2": None,
    "a%": None,
    "%zz": None,
    "%%": None,
    "%u0041": None,
    "%+1": None,
    "% 1".replace(" ", "%20"): None,
    # Unicode that is none, or that looks like something else
    "%C3": None,
    "%C3%28": None,
    "%C0%AF": None,
    "%C0%80": None,
    "%E0%80%AF": None,
    "%F0%80%80%AF": None,
    "%ED%A0%80": None,
    "%ED%A0%80%ED%B0%80": None,
    "%F4%90%80%80": None,
    "%F8%88%80%80%80": None,
    "%FE%FF": None,
    "e%CC%81": "e\u0301",
    "%C3%A9": "\u00e9",
    "%EF%BC%8F": "\uff0f",
    "%E2%88%95": "\u2215",
    # names that mean something to a system, a shell, a database or a program
    "CON": "CON",
    "nul.txt": "nul.txt",
    "a:b": "a:b",
    "a.": "a.",
    "a%20": "a ",
    "%20": " ",
    ".git/config": ".git/config",
    ".juststorage": ".juststorage",
    "metadata": "metadata",
    "-rf": "-rf",
    "$(id)": "$(id)",
    "%60id%60": "`id`",
    "a;b": "a;b",
    "a%26b": "a&b",
    "a|b".replace("|", "%7C"): "a|b",
    "a%0Ab": None,
    "a%0D%0ASet-Cookie:x": None,
    "%00": None,
    "a%00.txt": None,
    "null": "null",
    "None": "None",
    "undefined": "undefined",
    "__proto__": "__proto__",
    "*": "*",
    "%25%25": "%%",
    "_": "_",
    "'": "'",
    "%22": '"',
    "'--": "'--",
    "%5B%5D": "[]",
    "%7B%7D": "{}",
    "by-key": "by-key",
    ID: ID,
    "0": "0",
    "1e999": "1e999",
    # as long as a key may be, and longer
    "k" * 1024: "k" * 1024,
    "k" * 1025: None,
    quote("\u00e9") * 512: "\u00e9" * 512,
    quote("\u00e9") * 512 + "k": None,
    quote("\U0001f600") * 256: "\U0001f600" * 256,
    quote("\U0001f600") * 257: None,
    "/" * 1024: "/" * 1024,
    "../" * 341: "../" * 341,
    "a/" * 512: "a/" * 512,
    "": None,
}

KEYS = _bytes() | _characters() | _plain() | ODD

# -- paths that are no resource ------------------------------------------------------------------


def _strangers() -> list[str]:
    """Every path of the document, bent in every way that some server has taken for the same."""
    found = []
    for path in DOCUMENT["paths"]:
        filled = path
        for name, value in {"namespace": "ns", "tenant_id": "t", "id": ID}.items():
            filled = filled.replace("{" + name + "}", value)
        if "{key}" in filled or "{upload}" in filled:
            continue  # behind its prefix, everything is a key, or a ticket
        first, *rest = filled.lstrip("/").split("/")
        found += [
            f"{filled}/",
            f"{filled}//",
            f"/{filled}",
            f"/.{filled}",
            f"/..{filled}",
            f"/x/..{filled}",
            f"{filled}/.",
            f"{filled}/..",
            f"{filled};x=1",
            f"{filled}.json",
            f"{filled}%00",
            f"{filled}%20",
            f"{filled}%2F",
            f"{filled}%3Fx=1",
            f"{filled}%23",
            filled.upper(),
            filled.replace("/", "//", 1),
            filled.replace("/", "%2F", 1).replace("%2F", "/%2F", 1),
            "/".join(["", f"%{ord(first[0]):02x}{first[1:]}", *rest]),
            filled.replace("/", "\\"),
        ]
    return sorted({each for each in found if each not in DOCUMENT["paths"]})


STRANGERS = [
    *_strangers(),
    "/",
    "//",
    "/.",
    "/v1",
    "/v1/",
    "/v2/objects",
    "/V1/objects",
    "/v1/objects/by-key",
    "/v1/objects/by-key/",
    "/v1/objects/by-key/ns",
    "/v1/objects/by-key/ns/t",
    "/metrics/../health",
    "/.env",
    "/.git/config",
    "/admin",
    "/api",
    "/docs",
    "/favicon.ico",
    "/openapi.json",
    "/robots.txt",
    "/schema/../health",
    "/schema/openapi.yaml",
    "/server-status",
    "/static/../../etc/passwd",
]


def test_there_are_enough() -> None:
    """The matrix has at least 500 keys and 250 paths."""
    assert len(KEYS) >= 500
    assert len(STRANGERS) >= 250


def test_every_key_is_what_it_says(service: Service, tenant: str) -> None:
    """Stored under it, found under it, listed as it; or refused as a name by each call alike."""
    base = f"{BY_KEY}/ns/{tenant}"
    wrong = []
    for raw, key in KEYS.items():
        url = f"{base}/{raw}"
        data = f"content of {raw[:80]}".encode()
        length = f"Content-Length: {len(data)}"
        put, get, head, other = service.converse(
            [
                service.head("PUT", url, length) + data,
                service.head("GET", url),
                service.head("HEAD", url),
                service.head("GET", f"{base}-other/{raw}"),
            ]
        )
        statuses = [put.status, get.status, head.status, other.status]
        if key is None:
            expected = [400, 400, 400, 400]
            told = get.code == "invalid_name"
        else:
            # Another spelling of the same key was there before: then it is replaced.
            expected = [put.status if put.status == 200 else 201, 200, 200, 404]
            told = get.body == data and put.json["key"] == key
        if statuses != expected or not told or not all(map(_is_decent, (put, other))):
            wrong.append((raw, statuses, get.body[:200]))
    assert not wrong, wrong[:10]
    assert _listed(service, tenant) == {key for key in KEYS.values() if key is not None}


def _is_decent(answer: object) -> bool:
    return answer.is_decent()  # type: ignore[attr-defined, no-any-return]


def _listed(service: Service, tenant: str) -> set[str]:
    found: set[str] = set()
    cursor = ""
    while True:
        url = f"/v1/objects?tenant_id={tenant}&limit=60&cursor={cursor}"
        page = service.ask("GET", url).json
        keys = [each["key"] for each in page["objects"]]
        assert not found & set(keys)
        found |= set(keys)
        if page["next_cursor"] is None:
            return found
        cursor = page["next_cursor"]


def test_a_key_in_a_query_is_the_same_key(service: Service, tenant: str) -> None:
    """What POST takes as `key`, fully escaped, is found by its path, and by its prefix."""
    keys = [key for key in dict.fromkeys(KEYS.values()) if key is not None and len(key) < 100]
    requests, targets = [], []
    for key in keys:
        escaped = quote(key, safe="")
        post = f"/v1/objects?namespace=ns&tenant_id={tenant}&key={escaped}"
        listing = f"/v1/objects?namespace=ns&tenant_id={tenant}&limit=1&prefix={escaped}"
        targets.append(key)
        requests += [
            service.head("POST", post, "Content-Length: 2") + b"ok",
            service.head("GET", f"{BY_KEY}/ns/{tenant}/{escaped}"),
            service.head("GET", listing),
        ]
    answers = service.converse(requests)
    wrong = []
    for at, key in enumerate(targets):
        post, get, listing = answers[3 * at : 3 * at + 3]
        first = [each["key"] for each in listing.json.get("objects", ())]
        if (post.status, get.status, get.body) != (201, 200, b"ok") or first != [key]:
            wrong.append((key, post.status, get.status, first))
    assert not wrong, wrong[:10]


@pytest.mark.parametrize("has_key", [True, False], ids=["known", "unknown"])
def test_no_other_path_leads_anywhere(service: Service, has_key: bool) -> None:
    """404 for whoever is known, 401 first under /v1 for who is not; never a 2xx by another name."""
    with_key = {} if has_key else {"key": None}
    wrong = []
    for path in STRANGERS:
        # One by one: some are no targets at all, and the server closes after these.
        head = service.head("GET", path, "Connection: close", **with_key)  # type: ignore[arg-type]
        (answer,) = service.send(head, half_close=False)
        allowed = {400, 404} if has_key else {400, 401, 404}
        if path.startswith("/v1/uploads/"):
            allowed.add(405)  # a ticket, which has no GET
        if answer.status not in allowed or not answer.is_decent():
            wrong.append((path, answer.status, answer.body[:200]))
    assert not wrong, wrong[:20]
