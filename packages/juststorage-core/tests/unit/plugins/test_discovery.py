"""Finding, admitting and loading plugins, before any of them is asked for anything."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from juststorage.errors import Misconfigured
from juststorage.plugins._patience import patience
from juststorage.runtime import PluginHost, PluginStatus

HEADER = "from juststorage.plugins import *\n"


class TestDiscover:
    def test_installed_plugin_is_found_with_its_distribution(self, site: Any) -> None:
        """A plugin is known by its entry point, distribution and version."""
        site.add_hasher("acme-hash", "acme", "acme256", version="2.5")
        record = site.record("acme")
        assert (record.distribution, record.version) == ("acme-hash", "2.5")
        assert record.status is PluginStatus.ACTIVE
        assert record.provides == ["hasher:acme256"]

    def test_two_distributions_of_one_name_are_a_conflict(self, site: Any) -> None:
        """A plugin name that two distributions claim is an error that names both."""
        site.add_hasher("acme-one", "acme", "h1")
        site.add_hasher("acme-two", "acme", "h2", version="2.0")
        host = site.host()
        assert [record.status for record in host.records] == [PluginStatus.CONFLICT] * 2
        with pytest.raises(Misconfigured) as caught:
            host.require_sound()
        assert str(caught.value) == (
            "the plugin name 'acme' is claimed by acme-one 1.0 and acme-two 2.0;"
            " uninstall one of them"
        )
        assert not site.imported

    def test_disabling_ends_a_conflict_of_names(self, site: Any) -> None:
        """A name that is disabled conflicts with nothing."""
        site.add_hasher("acme-one", "acme", "h1")
        site.add_hasher("acme-two", "acme", "h2")
        site.host(disabled=["acme"]).require_sound()

    def test_same_distribution_twice_on_the_path_counts_once(
        self, site: Any, tmp_path: Any
    ) -> None:
        """A distribution that lies in two directories is the first one, as for Python."""
        site.add_hasher("acme-one", "acme", "h1")
        second = type(site)(tmp_path / "second")
        second.directory.mkdir()
        second.add_hasher("Acme_One", "acme", "h1", version="0.9")
        host = PluginHost(
            search_path=[str(site.directory), str(second.directory)], core_version="0.1.0"
        ).load()
        assert [record.version for record in host.records] == ["1.0"]

    def test_without_discovery_no_entry_point_is_read(self, site: Any) -> None:
        """`discover=False` sees only what it is given."""
        site.add_hasher("acme-one", "acme", "h1")
        assert site.host(discover=False).records == ()


class TestGate:
    def test_disabled_plugin_is_not_imported(self, site: Any) -> None:
        """What the deny list names is never imported."""
        site.add_hasher("acme-one", "acme", "h1")
        record = site.record("acme", disabled=["acme"])
        assert record.status is PluginStatus.DISABLED
        assert record.reason == "in plugins.disabled"
        assert not site.imported

    def test_plugin_off_the_allow_list_is_not_imported(self, site: Any) -> None:
        """With an allow list nothing else is imported."""
        site.add("acme", {"one": HEADER, "two": HEADER})
        host = site.host(enabled=["one"])
        assert {each.name: each.reason for each in host.records} == {
            "one": "implements no hook; is @hookimpl missing?",
            "two": "not in plugins.enabled",
        }
        assert site.imported == {"acme_one_module"}

    def test_unknown_names_in_the_lists_are_warnings_with_a_hint(self, site: Any) -> None:
        """A name that no plugin has is reported, with the near miss."""
        site.add_hasher("acme-one", "acme", "h1")
        host = site.host(enabled=["acme"], disabled=["acmee"])
        assert host.warnings == (
            "plugins.disabled: no plugin named 'acmee' is installed; did you mean 'acme'?",
        )

    @pytest.mark.parametrize(
        ("requires", "core_version", "reason"),
        [
            (["juststorage-core>=0.1,<0.2"], "0.1.0", None),
            (["juststorage_core >=0.1, <0.2"], "0.1.9", None),
            (["juststorage-core>=1.4"], "1.4.0.dev3", None),
            (["juststorage-core~=1.4"], "1.9.2", None),
            (["juststorage-core<1"], "1.4.0", "needs juststorage-core<1, found 1.4.0"),
            (["juststorage-core>=2"], "1.4.0", "needs juststorage-core>=2, found 1.4.0"),
            (["juststorage-core==1.3.*"], "1.4.0", "needs juststorage-core==1.3.*, found 1.4.0"),
            (["juststorage-core"], "1.0", "declares no range of juststorage-core versions"),
            (["other>=1"], "1.0", "declares no range of juststorage-core versions"),
            (["juststorage-core-x>=1"], "1.0", "declares no range of juststorage-core versions"),
            ([], "1.0", "declares no range of juststorage-core versions"),
            (
                ['juststorage-core>=1; python_version < "3"'],
                "1.0",
                "declares no range of juststorage-core versions",
            ),
            (
                ['juststorage-core[testing]>=9; extra == "test"', "juststorage-core>=1,<2"],
                "1.0",
                None,
            ),
            (["juststorage-core[testing]>=1,<2"], "1.0", None),
            (
                ['juststorage-core>=1; extra == "test"'],
                "1.0",
                "declares no range of juststorage-core versions",
            ),
            (
                ['juststorage-core>=1; extra == "test" or python_version > "3"'],
                "1.0",
                None,
            ),
            (["juststorage-core=>1"], "1.0", "declares no range of juststorage-core versions"),
        ],
    )
    def test_range_on_core_decides_before_the_import(
        self, site: Any, requires: list[str], core_version: str, reason: str | None
    ) -> None:
        """The range in its metadata says whether a plugin fits; else it is not imported."""
        site.add_hasher("acme-one", "acme", "h1", requires=requires)
        record = site.record("acme", core_version=core_version)
        assert record.reason == reason
        wanted = PluginStatus.ACTIVE if reason is None else PluginStatus.INCOMPATIBLE
        assert record.status is wanted
        assert bool(site.imported) == (reason is None)


class TestLoad:
    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("import no_such_driver", "ModuleNotFoundError: No module named 'no_such_driver'"),
            ("raise ValueError('two\\nlines')", "ValueError: two lines"),
            ("raise SystemExit(3)", "SystemExit: 3"),
            ("raise KeyError", "KeyError"),
            ("x = 1", "implements no hook; is @hookimpl missing?"),
        ],
    )
    def test_broken_module_is_written_down_and_the_others_load(
        self, site: Any, source: str, reason: str
    ) -> None:
        """A plugin that fails while it is imported fails alone, with its reason in one line."""
        site.add("acme", {"broken": source})
        site.add_hasher("bravo", "good", "h1")
        host = site.host()
        assert {each.name: each.reason for each in host.records} == {"broken": reason, "good": None}
        assert list(host.backends("hasher")) == ["h1"]
        assert host.warnings == (f"plugin broken of acme 1.0 is failed: {reason}",)
        host.require_sound()

    @pytest.mark.parametrize(
        ("source", "what"),
        [
            ("import time\ntime.sleep(60)", "importing it"),
            (
                "while True:\n    try:\n        1 / 0\n    except Exception:\n        pass",
                "importing it",
            ),
            (
                HEADER + "import time\n@hookimpl\ndef juststorage_hashers():\n    time.sleep(60)\n",
                "asking its hooks",
            ),
        ],
        ids=["sleeps", "tries again for ever", "in a hook"],
    )
    def test_a_plugin_that_hangs_is_reported_not_endured(
        self, site: Any, monkeypatch: pytest.MonkeyPatch, source: str, what: str
    ) -> None:
        """It is broken off, fails alone, and its reason says what it waited in."""
        monkeypatch.setenv("JUSTSTORAGE_PLUGINS_PATIENCE_S", "0.1")
        site.add("acme", {"hanging": source})
        site.add_hasher("bravo", "good", "h1")
        before, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0]
        host = site.host()
        reasons = {each.name: each.reason for each in host.records}
        assert reasons["hanging"].startswith(f"{what} took longer than 0.1 s and was broken off")
        assert reasons["good"] is None
        assert signal.getsignal(signal.SIGALRM) is before
        # The timer of who had one runs on.
        assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) is (timer > 0)

    def test_beside_the_main_thread_there_is_no_alarm(self, site: Any) -> None:
        """Signals belong to the main thread; a host that is loaded elsewhere works all the same."""
        site.add_hasher("bravo", "good", "h1")
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(site.host()))
        thread.start()
        thread.join()
        assert list(found[0].backends("hasher")) == ["h1"]

    def test_a_nearer_alarm_is_left_alone(self) -> None:
        """Whoever set a timer that ends sooner gets it, when it is due."""
        rung: list[int] = []
        former = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
        left = signal.setitimer(signal.ITIMER_REAL, 0.01)
        try:
            with patience(60):
                while not rung:
                    pass
        finally:
            signal.signal(signal.SIGALRM, former)
            signal.setitimer(signal.ITIMER_REAL, *left)
        assert rung == [signal.SIGALRM]

    def test_long_reason_is_cut(self, site: Any) -> None:
        """A reason has a bounded length, whatever a plugin raises."""
        site.add("acme", {"broken": "raise ValueError('x' * 10_000)"})
        reason = site.record("broken").reason
        assert len(reason) == 300
        assert reason.endswith("...")

    def test_hook_with_an_argument_is_refused(self, site: Any) -> None:
        """An implementation that asks for an argument fails with pluggy's reason in one line."""
        source = HEADER + "@hookimpl\ndef juststorage_hashers(config):\n    return []\n"
        site.add("acme", {"bad": source})
        record = site.record("bad")
        assert record.status is PluginStatus.FAILED
        assert "config" in record.reason
        assert "\n" not in record.reason
