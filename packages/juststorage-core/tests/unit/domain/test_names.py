"""Namespaces, tenant ids and keys: what is a name and what is not."""

from __future__ import annotations

import pytest

from juststorage.domain import (
    KEY_BYTES_MAX,
    NAME_LENGTH_MAX,
    Namespace,
    NamespacePattern,
    ObjectKey,
    TenantId,
    is_within,
    within_all,
)
from juststorage.errors import Invalid, InvalidName

NOT_NAMES = [
    "",
    ".",
    "..",
    ".a",
    "-a",
    "_a",
    "a/b",
    "a\\b",
    "a b",
    " a",
    "a ",
    "a\n",
    "a\x00",
    "é",
    "a%",
    "a:b",
    "\N{FULLWIDTH LATIN SMALL LETTER A}",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "a" * (NAME_LENGTH_MAX + 1),
]


@pytest.mark.parametrize("kind", [Namespace, TenantId])
@pytest.mark.parametrize("text", NOT_NAMES, ids=ascii)
def test_what_is_no_name(kind: type[Namespace] | type[TenantId], text: str) -> None:
    """Nothing that could be a path, a separator or another letter passes."""
    with pytest.raises(InvalidName, match="must be 1 to 128"):
        kind(text)


@pytest.mark.parametrize("kind", [Namespace, TenantId])
@pytest.mark.parametrize("text", ["a", "Z", "0", "a.b", "a..b", "a_b-c.d", "a" * NAME_LENGTH_MAX])
def test_names(kind: type[Namespace] | type[TenantId], text: str) -> None:
    """A name is its text."""
    name = kind(text)
    assert name == text
    assert isinstance(name, kind)


def test_an_error_says_which_name_is_meant() -> None:
    """A client sees which parameter to mend."""
    with pytest.raises(InvalidName, match=r"^namespace"):
        Namespace("")
    with pytest.raises(InvalidName, match=r"^tenant_id"):
        TenantId("")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\x00b",
        "a\nb",
        "\r",
        "\t",
        "\x1f",
        "\x7f",
        "\x80",
        "\x9f",
        "a\u2028",
        "\u2029b",
        "\ud800",
        "a\udfff",
        "a" * (KEY_BYTES_MAX + 1),
        "é" * (KEY_BYTES_MAX // 2) + "a",
        "\N{GRINNING FACE}" * (KEY_BYTES_MAX // 4 + 1),
    ],
    ids=ascii,
)
def test_what_is_no_key(text: str) -> None:
    """Empty, over 1024 bytes of UTF-8, not encodable, or with a control character."""
    with pytest.raises(InvalidName, match="key"):
        ObjectKey(text)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        " ",
        ".",
        "..",
        "../../etc/passwd",
        "/",
        "//",
        "a//b/",
        "%2e%2e",
        "\\",
        "\u00a0",
        "é",
        "e\u0301",
        "\N{GRINNING FACE}",
        "\U0010ffff",
        "a" * KEY_BYTES_MAX,
        "é" * (KEY_BYTES_MAX // 2),
        "\N{GRINNING FACE}" * (KEY_BYTES_MAX // 4),
    ],
    ids=ascii,
)
def test_keys(text: str) -> None:
    """Slashes and dots mean nothing, and nothing is normalized."""
    assert ObjectKey(text) == text


def test_a_bad_name_is_an_invalid_request() -> None:
    """Callers that handle `Invalid` handle names too."""
    with pytest.raises(Invalid):
        ObjectKey("")


@pytest.mark.parametrize("text", ["", "*", "a*b", "a**", "-*", "*a", "a" * 129, "a" * 129 + "*"])
def test_what_is_no_namespace_pattern(text: str) -> None:
    """A star stands at the end, once, and behind something."""
    with pytest.raises(InvalidName, match="prefix"):
        NamespacePattern(text)


@pytest.mark.parametrize("text", ["a*", "a-*", "team", "a" * 128 + "*"])
def test_a_namespace_has_no_star(text: str) -> None:
    """A pattern with one is none, one without is a pattern of itself."""
    assert NamespacePattern(text).prefix == (text[:-1] if "*" in text else None)
    if "*" in text:
        with pytest.raises(InvalidName):
            Namespace(text)


def patterns(*texts: str) -> frozenset[NamespacePattern]:
    """Some patterns."""
    return frozenset(map(NamespacePattern, texts))


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("team", ["team-*"]),
        ("Team-a", ["team-*"]),
        ("teamXa", ["team_*", "team.*"]),
        ("team-ab", ["team-a"]),
        ("a", []),
    ],
)
def test_a_namespace_outside(name: str, allowed: list[str]) -> None:
    """Only the star is special, and letters keep their case."""
    assert not is_within(Namespace(name), patterns(*allowed))


@pytest.mark.parametrize("allowed", [["team-a"], ["team-*"], ["x", "t*"], ["team-a*"]])
def test_a_namespace_within(allowed: list[str]) -> None:
    """Named, or beginning so; None is everywhere."""
    assert is_within(Namespace("team-a"), patterns(*allowed))
    assert is_within(Namespace("team-a"), None)


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (None, ["a*"]),
        (["a*"], ["a"]),
        (["a*"], ["ab*"]),
        (["a"], ["ab*"]),
        (["ab", "c"], ["a*"]),
        (["a"], []),
    ],
)
def test_patterns_that_reach_further(inner: list[str] | None, outer: list[str]) -> None:
    """One name more is too many; a prefix is more than any single name."""
    assert not within_all(None if inner is None else patterns(*inner), patterns(*outer))


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (None, None),
        (["a"], None),
        ([], ["a"]),
        (["a*"], ["a*"]),
        (["ab*", "ac", "a*", "a"], ["a*"]),
        (["a", "b"], ["b", "a", "c"]),
    ],
)
def test_patterns_within_others(inner: list[str] | None, outer: list[str] | None) -> None:
    """Each of them reaches no further than some other."""
    assert within_all(
        None if inner is None else patterns(*inner), None if outer is None else patterns(*outer)
    )
