"""`juststorage plugins`: what is installed, what is usable, and why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from click.testing import Result

from juststorage import __version__

Run = Callable[..., Result]


class TestPlugins:
    def test_list_shows_status_and_selection(self, run: Run, site: Any, file: str) -> None:
        """Each plugin has a line with what it provides, where it is selected, or why it is not."""
        site.add_hasher("acme", "old", "h9", requires=["juststorage-core<0.1"])
        for args in (["plugins"], ["plugins", "list"]):
            result = run(*args, "--config", file)
            assert result.exit_code == 0
            head, *rows = result.output.splitlines()
            assert head.split() == [
                "PLUGIN",
                "DISTRIBUTION",
                "VERSION",
                "STATUS",
                "PROVIDES",
                "NOTE",
            ]
            (memory,) = [row for row in rows if row.startswith("memory ")]
            assert "blob_store:memory metadata_store:memory" in memory
            assert memory.endswith("selected: blobs.hot, metadata")
            (old,) = [row for row in rows if row.startswith("old ")]
            assert old.endswith("needs juststorage-core<0.1, found 0.1.0")

    def test_list_works_with_a_wrong_configuration(self, run: Run) -> None:
        """Listing needs no right configuration; it says that it does not know what is selected."""
        result = run("plugins", "--json", JUSTSTORAGE__SERVER__PORT="x")
        assert result.exit_code == 0
        rows = json.loads(result.stdout)
        assert {row["status"] for row in rows} == {"active"}
        assert all(row["selected"] == [] for row in rows)
        assert "server.port: Expected int, got str; " in result.stderr
        assert "nothing counts as selected" in result.stderr

    def test_json_says_the_same(self, run: Run, file: str) -> None:
        """--json has every member of the record."""
        rows = json.loads(run("plugins", "list", "--json", "--config", file).stdout)
        (memory,) = [row for row in rows if row["name"] == "memory"]
        assert memory == {
            "name": "memory",
            "distribution": "juststorage-core",
            "version": __version__,
            "target": "juststorage.plugins.memory",
            "status": "active",
            "reason": None,
            "provides": ["blob_store:memory", "metadata_store:memory"],
            "selected": ["blobs.hot", "metadata"],
        }

    def test_show_lists_options_and_capabilities(self, run: Run, site: Any) -> None:
        """A plugin is shown with each backend's options, their types, bounds and defaults."""
        source = """
            import msgspec
            from typing import Annotated, Literal
            from juststorage.plugins import *

            class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
                url: Annotated[Secret, msgspec.Meta(description="Where")]
                size: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
                mode: Literal["a", "b"] | None = None
                names: tuple[str, ...] = ()

            @hookimpl
            def juststorage_blob_stores():
                yield BlobStoreBackend(
                    name="tape", summary="On tape", options=Options, open=print, durable=False,
                    capabilities=BlobCapabilities(trash=True),
                )

            @hookimpl
            def juststorage_commands():
                yield Command(name="rewind", summary="Rewinds", target="a:b")
        """
        site.add("acme", {"tape": source})
        lines = [
            " ".join(line.split()) for line in run("plugins", "show", "tape").output.split("\n")
        ]
        assert lines[0] == "tape: active, acme 1.0, acme_tape_module"
        assert "blob_store:tape: On tape" in lines
        assert "forgets everything when the process ends" in lines
        assert "capabilities: trash" in lines
        assert "url secret required - Where" in lines
        assert "size integer 3 >= 1, <= 9" in lines
        assert "mode a or b null -" in lines
        assert "names list of string [] -" in lines
        assert "command:rewind: Rewinds" in lines
        shown = json.loads(run("plugins", "show", "tape", "--json").output)
        assert shown["offers"][0]["capabilities"]["trash"] is True
        assert shown["offers"][0]["options"]["required"] == ["url"]

    def test_show_of_a_backend_without_capabilities(self, run: Run) -> None:
        """Kinds that declare no capabilities are shown without."""
        output = run("plugins", "show", "core").output
        assert "hasher:sha256: " in output
        assert "capabilities" not in output

    def test_show_of_a_broken_plugin_says_why(self, run: Run, site: Any) -> None:
        """A plugin that is not usable is shown with its reason."""
        site.add("acme", {"tape": "raise OSError('no tape')"})
        assert "OSError: no tape" in run("plugins", "show", "tape").output

    def test_show_of_nothing_is_a_near_miss(self, run: Run) -> None:
        """A name that no plugin has ends with 2 and a hint."""
        result = run("plugins", "show", "memry")
        assert (result.exit_code, result.stderr) == (
            2,
            "juststorage: no plugin named 'memry' is installed; did you mean 'memory'?\n",
        )

    def test_check_ends_with_1_when_something_is_wrong(self, run: Run, site: Any) -> None:
        """A failed, incompatible or conflicting plugin makes the check fail, and is named."""
        result = run("plugins", "check")
        assert result.exit_code == 0
        assert result.output.endswith("plugins, all is well\n")
        site.add("acme", {"tape": "raise OSError('no tape')"})
        result = run("plugins", "check")
        assert (result.exit_code, result.output) == (
            1,
            "plugin tape of acme 1.0 is failed: OSError: no tape\n",
        )
        listed = run("plugins", "check", "--json")
        assert listed.exit_code == 1
        assert json.loads(listed.output) == ["plugin tape of acme 1.0 is failed: OSError: no tape"]
