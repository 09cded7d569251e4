"""A client that was made from docs/openapi.json, and from nothing else, can use the service."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.wire.wire import Service

DOCUMENT = Path(__file__).parents[2] / "docs/openapi.json"
NAME = "made_from_the_document"
DATA = bytes(range(256)) * 1000

Module = Callable[[str], Any]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Module]:
    """Modules of the generated package, by their name."""
    directory = tmp_path_factory.mktemp("client")
    # A media type of tus, whose bodies are bytes as any others; users have to say so, too.
    settings = {
        "content_type_overrides": {"application/offset+octet-stream": "application/octet-stream"}
    }
    (directory / "settings.json").write_text(json.dumps(settings))
    programs = sysconfig.get_path("scripts")  # it formats what it writes, with ruff
    finished = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--path", DOCUMENT,
         "--output-path", directory / NAME, "--meta", "none", "--fail-on-warning",
         "--config", directory / "settings.json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    sys.path.insert(0, str(directory))
    try:
        yield lambda name: importlib.import_module(f"{NAME}.{name}")
    finally:
        sys.path.remove(str(directory))


@pytest.fixture
def client(service: Service, key: str, made: Module) -> Iterator[Any]:
    """A client with a key."""
    kind = made("client").AuthenticatedClient
    with kind(
        f"http://127.0.0.1:{service.port}",
        token=key,
        prefix="",
        auth_header_name="X-API-Key",
        raise_on_unexpected_status=True,
    ) as client:
        yield client


def uploaded(made: Module, client: Any, name: str, data: bytes = DATA, **options: Any) -> Any:
    """PUT by key; the answer."""
    put = made("api.objects_by_key.put_object_by_key").sync_detailed
    body = made("types").File(BytesIO(data))
    return put("models", "acme", name, client=client, body=body, **options)


def test_upload_and_download(made: Module, client: Any) -> None:
    """The bytes come back, by key and by id, whole and in part; HEAD and metadata agree."""
    answer = uploaded(made, client, "a/b c.bin", x_object_metadata='{"owner": "me"}')
    assert answer.status_code in {200, 201}
    stored = answer.parsed
    assert (stored.key, stored.size_bytes) == ("a/b c.bin", len(DATA))
    assert stored.metadata.to_dict() == {"owner": "me"}

    get_by_key = made("api.objects_by_key.get_object_by_key").sync_detailed
    found = get_by_key("models", "acme", "a/b c.bin", client=client)
    assert found.parsed.payload.read() == DATA
    part = get_by_key("models", "acme", "a/b c.bin", client=client, range_="bytes=1-2")
    assert (part.status_code, part.parsed.payload.read()) == (206, DATA[1:3])

    get = made("api.objects.get_object").sync_detailed
    assert get(stored.id, client=client, tenant_id="acme").parsed.payload.read() == DATA
    described = made("api.objects.get_object_metadata").sync(stored.id, client=client)
    assert described.content_hash == stored.content_hash
    head = made("api.objects.head_object").sync_detailed(stored.id, client=client)
    assert (head.status_code, int(head.headers["content-length"])) == (200, len(DATA))


def test_search_and_delete(made: Module, client: Any) -> None:
    """Bodies that are JSON have the shapes that the document says."""
    stored = uploaded(made, client, "found/me").parsed
    search = made("models.object_search").ObjectSearch
    page = made("api.objects.search_objects").sync(
        client=client, body=search(tenant_id="acme", key_prefix="found/")
    )
    assert [each.id for each in page.objects] == [stored.id]
    listed = made("api.objects.list_objects").sync(client=client, prefix="found/")
    assert [each.id for each in listed.objects] == [stored.id]
    many = made("models.objects_to_delete").ObjectsToDelete(ids=[str(stored.id)])
    gone = made("api.objects.delete_objects").sync(client=client, body=many)
    assert gone.deleted == [str(stored.id)]
    usage = made("api.usage.get_usage").sync(client=client, tenant_id="acme")
    assert usage.tenant_id == "acme"


def test_problems_have_their_type(made: Module, client: Any) -> None:
    """What is refused is a Problem with the code that programs decide by."""
    get = made("api.objects_by_key.get_object_by_key").sync_detailed
    missing = get("models", "acme", "nothing", client=client)
    assert (missing.status_code, missing.parsed.code.value) == (404, "not_found")
    forbidden = get("models", "others", "nothing", client=client)
    assert forbidden.parsed.code.value == "tenant_forbidden"
    wrong = uploaded(made, client, "wrong", x_content_hash="sha256:" + "0" * 64)
    assert (wrong.status_code, wrong.parsed.code.value) == (400, "digest_mismatch")
    assert uploaded(made, client, "once", if_none_match="*").status_code == 201
    assert uploaded(made, client, "once", if_none_match="*").parsed.code.value == (
        "precondition_failed"
    )
