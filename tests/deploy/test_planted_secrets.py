"""A secret in every option that takes one, and none of them in anything that a command says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.test_same_options import OPTIONS, PLANTED

SECRETS = [option for option in OPTIONS if option.secret]
COMMANDS = (
    *("config show", "config show --json", "config check", "config check --open", "plugins check"),
    *("doctor", "doctor --json", "migrate status", "migrate sql", "migrate up", "fsck", "serve"),
    *("gc run", "gc status", "gc worker", "keys list", "backup list", "backup create"),
    *("backup verify", "backup restore"),
)


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_says_a_secret(words: str, tmp_path: Path) -> None:
    """Whether it works or fails: most fail here, because nothing is where the options say."""
    variables = {
        "JUSTSTORAGE__LOG__LEVEL": "debug",
        "JUSTSTORAGE__TRACING__HEADERS": f'{{"authorization": "{PLANTED}"}}',
        **{"JUSTSTORAGE__" + "__".join(option.path).upper(): PLANTED for option in SECRETS},
        # Chosen, so that it is told of what it cannot work with.
        "JUSTSTORAGE__METADATA__BACKEND": "postgres",
        "JUSTSTORAGE__METADATA__POSTGRES__URL": f"postgresql://u:{PLANTED}@127.0.0.1:1/x",
        "JUSTSTORAGE__METADATA__POSTGRES__CONNECT_WAIT_S": "0.1",
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__ROOT": str(tmp_path / "hot"),
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__CREATE_ROOT": "true",
        "JUSTSTORAGE__BLOBS__COLD__BACKEND": "objectstore",
        "JUSTSTORAGE__BLOBS__COLD__OBJECTSTORE__URL": "s3://bucket/prefix",
        "JUSTSTORAGE__AUTH__CHAIN": '["api_key", "jwt"]',
        "JUSTSTORAGE__AUTH__JWT__ISSUER": "https://issuer.example",
        "JUSTSTORAGE__AUTH__JWT__AUDIENCE": "juststorage",
    }
    ran = subprocess.run(
        [sys.executable, "-c", "from juststorage.cli import main; main()", *words.split()],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    said = ran.stdout + ran.stderr
    assert said, "it says nothing, so nothing was looked at"
    assert PLANTED not in said


def test_there_are_secrets_to_plant() -> None:
    """Of every kind of backend that has some."""
    assert {option.backend for option in SECRETS} >= {"postgres", "objectstore", "api_key", "jwt"}
