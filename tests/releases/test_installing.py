"""What `pip install juststorage` gives: a service, and packages under licences that are allowed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from scripts.releasing.artifacts import build, wrong_metadata
from scripts.releasing.inventory import install, not_allowed
from scripts.releasing.licenses import EVERYTHING, licences_of, text
from scripts.releasing.projects import META, projects

from .conftest import ROOT

PATIENCE_S = 60
LARGE = bytes(range(256)) * 8_000


@pytest.fixture(scope="module")
def default(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A clean environment with the default set and nothing else, and the licences of that."""
    environment = tmp_path_factory.mktemp("default") / "environment"
    return environment, licences_of(ROOT, wheels, environment, META)


@contextlib.contextmanager
def serving(environment: Path, folder: Path) -> Iterator[httpx2.Client]:
    """`juststorage serve` of this environment, without a setting but its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [environment / "bin/juststorage", "serve", "--port", str(port)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if "JUSTSTORAGE" not in name},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                if httpx2.get(f"{url}/health/ready", trust_env=False).is_success:
                    break
            assert process.poll() is None, "it has ended"
            assert time.monotonic() < deadline, "it does not become ready"
            time.sleep(0.05)
        key = (folder / "juststorage-data/admin.key").read_text().strip()
        headers = {"X-API-Key": key}
        with httpx2.Client(base_url=url, headers=headers, trust_env=False) as client:
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


def test_the_default_set_serves(default: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """Installed from wheels alone and started without a setting, it stores, returns and keeps."""
    environment, _ = default
    path = "/v1/objects/by-key/docs/acme/readme"
    for life in (1, 2):
        with serving(environment, tmp_path) as client:
            if life == 1:
                assert client.put(path, content=LARGE).status_code == 201
            answer = client.get(path)
            assert (answer.status_code, answer.content) == (200, LARGE)


def test_the_default_set_has_every_plugin_active(default: tuple[Path, dict[str, str]]) -> None:
    """Ranges that leave each other out would make one `incompatible`; its commands work as well."""
    environment, _ = default
    for words in (("plugins", "check"), ("objects", "--help")):
        done = subprocess.run(
            [environment / "bin/juststorage", *words],
            env={"JUSTSTORAGE_PLUGINS_STRICT": "1", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_the_licences_of_everything_are_allowed_and_listed(
    default: tuple[Path, dict[str, str]], wheels: Path, tmp_path: Path
) -> None:
    """docs/licenses.md is what is installed; scripts/licenses writes it."""
    everything = licences_of(ROOT, wheels, tmp_path / "environment", META, *EVERYTHING)
    assert not_allowed(everything) == {}
    assert len(everything) > len(default[1]) > 20
    written = (ROOT / "docs/licenses.md").read_text()
    assert written == text(default[1], everything), "run scripts/licenses, and see what came along"


def test_source_distributions_install(tmp_path: Path) -> None:
    """Where no wheel is wanted; a manifest must not look for the workspace that it came from."""
    ours = projects(ROOT)
    versions = {name: project.version for name, project in ours.items()}
    for project in ours.values():
        for artifact in build(project, tmp_path / "dist", time_s=1_700_000_000):
            assert wrong_metadata(artifact, versions) == []
    for wheel in (tmp_path / "dist").glob("*.whl"):
        wheel.unlink()
    lock = ROOT / "requirements/lock.txt"
    install(tmp_path / "environment", tmp_path / "dist", META, *EVERYTHING, lock=lock)
    done = subprocess.run(
        [tmp_path / "environment/bin/juststorage", "plugins", "check"], check=False
    )
    assert done.returncode == 0
