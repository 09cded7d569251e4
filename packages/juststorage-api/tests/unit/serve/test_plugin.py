"""What the package offers to the plugin host, and what that costs."""

from __future__ import annotations

import resource
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from juststorage.plugins import Secret
from juststorage.runtime import PluginHost, PluginStatus
from juststorage_api._auth import ApiKeyOptions
from juststorage_api._serve._limits import raise_limits


class TestPlugin:
    def test_the_entry_point_is_active(self) -> None:
        """The installed plugin offers its authenticators and its command."""
        host = PluginHost(enabled=["api"]).load()
        (record,) = [record for record in host.records if record.name == "api"]
        assert record.status is PluginStatus.ACTIVE, record.reason
        assert record.provides == [
            "authenticator:anonymous",
            "authenticator:api_key",
            "authenticator:jwt",
            "authenticator:trusted_header",
            "command:export",
            "command:import",
            "command:objects",
            "command:serve",
            "command:usage",
        ]

    def test_its_import_is_light(self) -> None:
        """Listing plugins loads no framework and no server."""
        (point,) = entry_points(group="juststorage.plugins", name="api")
        code = (
            f"import sys, {point.module}\n"
            "heavy = {'litestar', 'granian', 'uvloop', 'asyncio', 'anyio'} & set(sys.modules)\n"
            "print(*sorted(heavy))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert (ran.stdout, ran.stderr) == ("\n", "")

    def test_the_help_needs_no_server(self) -> None:
        """`juststorage serve --help` answers without loading what serves."""
        code = (
            "import sys\n"
            "from juststorage.cli import main\n"
            "sys.argv = ['juststorage', 'serve', '--help']\n"
            "try:\n"
            "    main()\n"
            "finally:\n"
            "    print(sorted({'litestar', 'granian', 'uvloop'} & set(sys.modules)))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0
        assert ran.stdout.startswith("Usage: juststorage serve")
        assert ran.stdout.endswith("[]\n")

    def test_options_do_not_show_the_key(self) -> None:
        """The bootstrap key is a secret wherever options are printed."""
        options = ApiKeyOptions(bootstrap_key=Secret("the-key-of-an-operator"))
        assert "operator" not in repr(options)


class TestLimits:
    @pytest.mark.parametrize("soft", [256, 1024, 4096])
    def test_files_are_raised_to_what_is_allowed(self, soft: int) -> None:
        """The soft limit on open files goes up to the hard one, and connections follow from it."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
            connections = raise_limits()
            raised, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert hard == before[1]
        assert raised == (min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536)
        assert 64 <= connections <= raised // 2
