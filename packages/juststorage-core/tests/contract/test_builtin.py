"""Core's hasher, its collection policy, and its two plugins, through the kit."""

from __future__ import annotations

from juststorage.plugins.builtin import AGE, MIN_FREE, SHA256
from juststorage.testing import GCPolicyContract, HasherContract, PluginContract

pytest_plugins = ["juststorage.testing.fixtures"]


class TestSha256(HasherContract):
    backend = SHA256
    vectors = {  # noqa: RUF012  read only
        b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


class TestAge(GCPolicyContract):
    backend = AGE


class TestMinFree(GCPolicyContract):
    backend = MIN_FREE


class TestCorePlugin(PluginContract):
    plugin = "core"


class TestMemoryPlugin(PluginContract):
    plugin = "memory"
