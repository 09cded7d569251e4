"""The pipeline of the plugin host, failure by failure."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage.errors import Misconfigured
from juststorage.plugins import hookimpl
from juststorage.runtime import PluginStatus

HEADER = "from juststorage.plugins import *\n"


class TestCollect:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (
                "@hookimpl\ndef juststorage_hasher():\n    return []",
                "implements an unknown hook juststorage_hasher;"
                " did you mean 'juststorage_hashers'?"
                " (a typo, or it needs a newer juststorage-core)",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    raise OSError('disk')\n    yield",
                "juststorage_hashers raised OSError: disk",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    raise SystemExit(1)",
                "juststorage_hashers raised SystemExit: 1",
            ),
            (
                "@hookimpl\ndef juststorage_hashers(): pass",
                "juststorage_hashers returned None instead of descriptors",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    yield 'sha1'",
                "juststorage_hashers yielded str instead of HasherBackend",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    yield made(name='SHA-1')",
                "juststorage_hashers yielded the name 'SHA-1', which is not [a-z][a-z0-9_]{0,62}",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    yield made(name=7)",
                "juststorage_hashers yielded the name 7, which is not [a-z][a-z0-9_]{0,62}",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    yield made(summary='a\\nb')",
                "hasher:h needs a summary of one line",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    yield made(options=dict)",
                "hasher:h has options that are not a msgspec.Struct class",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    yield made(options=Loose)",
                "hasher:h has options without frozen=True and forbid_unknown_fields=True",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    yield made(options=Unreadable)",
                "hasher:h has options that cannot be read: NameError: name 'Nowhere' is not"
                " defined",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    yield made(open=None)",
                "hasher:h has an open that cannot be called",
            ),
            (
                "@hookimpl\ndef juststorage_hashers():\n    return [made(), made()]",
                "offers hasher:h twice",
            ),
            (
                "@hookimpl(wrapper=True)\ndef juststorage_hashers():\n    return (yield)",
                "juststorage_hashers is a wrapper; hooks here only yield descriptors",
            ),
            (
                "@hookimpl\ndef juststorage_commands():\n"
                "    yield Command(name='go', summary='go', target='somewhere')",
                "command:go has a target that is not module:attribute",
            ),
            (
                "@hookimpl\ndef juststorage_commands():\n"
                "    yield Command(name='plugins', summary='go', target='a:b')",
                "command:plugins is a command of juststorage-core",
            ),
        ],
    )
    def test_plugin_that_answers_wrongly_fails_with_one_line(
        self, site: Any, body: str, reason: str
    ) -> None:
        """Each way to break a hook's contract has its reason; nothing of it is offered."""
        source = (
            HEADER
            + "import msgspec\n"
            + "class Loose(msgspec.Struct): pass\n"
            + "class Unreadable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):\n"
            + "    size: 'Nowhere'\n"
            + "def made(**how):\n"
            + "    given = dict(name='h', summary='s', options=NoOptions, open=print)\n"
            + "    return HasherBackend(**{**given, **how})\n"
            + body
        )
        site.add("acme", {"bad": source})
        host = site.host()
        assert [each.reason for each in host.records] == [reason]
        assert host.records[0].status is PluginStatus.FAILED
        assert not host.backends("hasher")
        assert not host.commands

    def test_optional_unknown_hook_is_fine(self, site: Any) -> None:
        """A hook marked optional may be unknown: a plugin can serve two versions of core."""
        body = "@hookimpl(optionalhook=True)\ndef juststorage_later():\n    raise OSError\n"
        site.add("acme", {"new": HEADER + body})
        assert site.record("new").status is PluginStatus.ACTIVE

    def test_one_broken_hook_fails_the_whole_plugin(self, site: Any) -> None:
        """A plugin is offered whole or not at all."""
        source = HEADER + (
            "@hookimpl\ndef juststorage_gc_policies():\n    raise OSError('no')\n"
            "@hookimpl\ndef juststorage_hashers():\n"
            "    yield HasherBackend(name='h', summary='s', options=NoOptions, open=print)\n"
        )
        site.add("acme", {"half": source})
        host = site.host()
        assert host.records[0].provides == []
        assert not host.backends("hasher")

    def test_clash_of_backends_names_both_distributions(self, site: Any) -> None:
        """Two plugins that offer one name of one kind are an error; neither wins silently."""
        site.add_hasher("acme-one", "one", "fast")
        site.add_hasher("acme-two", "two", "fast", version="2.0")
        site.add_hasher("acme-three", "three", "slow")
        host = site.host()
        assert list(host.backends("hasher")) == ["slow"]
        with pytest.raises(Misconfigured) as caught:
            host.require_sound()
        assert str(caught.value) == (
            "the hasher 'fast' is offered by the plugins one of acme-one 1.0 and two of"
            " acme-two 2.0; put one of them into plugins.disabled"
        )
        site.host(disabled=["one"]).require_sound()

    def test_hook_calls_can_be_traced(
        self, site: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """JUSTSTORAGE_PLUGINS_TRACE=1 prints each hook that was called and its answer."""
        monkeypatch.setenv("JUSTSTORAGE_PLUGINS_TRACE", "1")
        site.add_hasher("acme-one", "acme", "h1")
        site.host()
        assert "juststorage_hashers() of acme: [HasherBackend(name='h1'" in capsys.readouterr().err


class TestGiven:
    def test_given_object_is_registered_under_its_type(self, site: Any) -> None:
        """A plugin that the program hands over passes no gate and is named after its type."""

        class Given:
            @hookimpl
            def juststorage_commands(self) -> list[object]:
                return []

        host = site.host(plugins=[Given(), Given()], enabled=[])
        assert [record.name for record in host.records] == ["Given", "Given#2"]
        assert all(record.status is PluginStatus.ACTIVE for record in host.records)
        assert "given by the program" in host.records[0].origin

    def test_given_and_installed_counts_once(self, site: Any) -> None:
        """A module that is installed as a plugin and handed over too is one plugin."""
        import importlib

        site.add_hasher("acme-one", "acme", "h1")
        module = importlib.import_module("acme_one_acme_module")
        assert [each.name for each in site.host(plugins=[module]).records] == ["acme"]


class TestSelect:
    def test_missing_backend_tells_what_there_is_and_what_is_broken(self, site: Any) -> None:
        """Selecting what is not there lists usable names and every unusable plugin's reason."""
        site.add_hasher("acme-one", "one", "blake3")
        site.add("acme-two", {"two": "import no_such_driver"})
        site.add_hasher("acme-three", "three", "x", requires=["juststorage-core>=7"])
        host = site.host()
        with pytest.raises(Misconfigured) as caught:
            host.select("hasher", "blake", setting="hasher.backend")
        assert str(caught.value) == (
            "hasher.backend: there is no hasher 'blake'; did you mean 'blake3'? (usable: blake3);"
            " plugins that are not usable:"
            " three (incompatible: needs juststorage-core>=7, found 0.1.0),"
            " two (failed: ModuleNotFoundError: No module named 'no_such_driver')"
        )

    def test_nothing_usable_says_none(self, site: Any) -> None:
        """With no plugin at all the error still says so."""
        with pytest.raises(Misconfigured, match=r"there is no GC policy 'x' \(usable: none\)$"):
            site.host().select("gc_policy", "x", setting="gc.policy")

    def test_selected_backend_knows_its_plugin(self, site: Any) -> None:
        """An offer carries the descriptor and the plugin that it comes from."""
        site.add_hasher("acme-one", "one", "blake3")
        offer = site.host().select("hasher", "blake3", setting="hasher.backend")
        assert (offer.kind, offer.name, offer.record.name) == ("hasher", "blake3", "one")

    def test_options_that_break_by_themselves_are_the_plugin_s_fault(self, site: Any) -> None:
        """An options class that raises is reported with its plugin."""
        source = HEADER + (
            "import msgspec\n"
            "class Bad(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):\n"
            "    def __post_init__(self): raise OSError('oops')\n"
            "@hookimpl\ndef juststorage_hashers():\n"
            "    yield HasherBackend(name='h', summary='s', options=Bad, open=print)\n"
        )
        site.add("acme", {"bad": source})
        host = site.host()
        offer = host.select("hasher", "h", setting="hasher.backend")
        with pytest.raises(Misconfigured) as caught:
            host.options(offer, {}, place="hasher.h")
        assert str(caught.value) == (
            "hasher.h: the options of plugin bad of acme 1.0 cannot be read: OSError: oops"
        )


class TestStrict:
    def test_strict_takes_warnings_for_errors(
        self, site: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """JUSTSTORAGE_PLUGINS_STRICT=1 makes a broken plugin that nobody selected fatal."""
        site.add("acme", {"broken": "raise OSError('no')"})
        site.host(strict=False).require_sound()
        monkeypatch.setenv("JUSTSTORAGE_PLUGINS_STRICT", "1")
        host = site.host(strict=None)
        assert host.strict
        with pytest.raises(Misconfigured) as caught:
            host.require_sound()
        assert str(caught.value) == "plugin broken of acme 1.0 is failed: OSError: no"

    def test_loading_twice_does_it_once(self, site: Any) -> None:
        """`load` is idempotent."""
        site.add("acme", {"broken": "raise OSError('no')"})
        host = site.host()
        assert host.load().load() is host
        assert len(host.records) == len(host.warnings) == 1
