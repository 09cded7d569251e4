"""Signatures, against the example that AWS publishes."""

from __future__ import annotations

from datetime import UTC, datetime

from juststorage_objectstore._signing import Credentials, query_string, signed_headers

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
AT = datetime(2013, 5, 24, tzinfo=UTC)


def test_the_published_example() -> None:
    """`GET Bucket (List Objects)` of "Signature Calculations for the Authorization Header"."""
    headers = signed_headers(
        "GET",
        "examplebucket.s3.amazonaws.com",
        "/",
        {"max-keys": "2", "prefix": "J"},
        region="us-east-1",
        credentials=EXAMPLE,
        now=AT,
    )
    assert headers["authorization"].endswith(
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_a_session_token_is_signed() -> None:
    """Temporary credentials are three, and the third is among the signed headers."""
    headers = signed_headers(
        "GET", "h", "/", {}, region="r", credentials=EXAMPLE._replace(session_token="t"), now=AT
    )
    assert headers["x-amz-security-token"] == "t"
    assert "x-amz-date;x-amz-security-token," in headers["authorization"]


def test_queries_are_in_the_one_form() -> None:
    """Sorted, with everything quoted that may be."""
    assert query_string({"uploads": "", "prefix": "a/b c~"}) == "prefix=a%2Fb%20c~&uploads="


def test_credentials_are_not_shown() -> None:
    """A traceback with local variables must not give them away."""
    assert "EXAMPLE" not in repr(EXAMPLE)
    assert "EXAMPLE" not in f"{EXAMPLE}"
