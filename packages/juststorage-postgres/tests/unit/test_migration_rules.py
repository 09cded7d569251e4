"""The rules of docs/migrations.md, held against the SQL of every revision."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from alembic import command

from juststorage_postgres import _migrations
from juststorage_postgres._migrations import REVISIONS
from juststorage_postgres._migrator import configured

FILES = sorted((Path(_migrations.__file__).parent / "versions").glob("[0-9]*.py"))

OURS = re.compile(
    r"BEGIN|COMMIT|(CREATE TABLE|INSERT INTO|UPDATE|DELETE FROM) juststorage_version\b"
)
"""What alembic adds to a revision's own statements."""

NEVER = {
    r"ALTER TABLE \w+ RENAME|ALTER INDEX \w+ RENAME": "renames what the version before uses",
    r"SET NOT NULL": "breaks rows of the version before, and reads all of the table under lock",
    r"ALTER COLUMN \w+ (SET DATA )?TYPE": "rewrites the table under lock",
    r"\bSET (LOCAL |SESSION )?lock_timeout": "sets a lock_timeout of its own",
    r"LOCK TABLE": "locks a table on purpose",
    r"^VACUUM FULL|^CLUSTER|^REINDEX (?!.*CONCURRENTLY)": "rewrites under lock",
}
"""Never on a table that is in use, however it is written."""

JUSTIFIED = {
    ("0002", "locks a table on purpose"): "the count and the triggers that go on with it begin"
    " together; who changes an object waits for the count",
}
"""Breaches that were weighed; the revision's docstring says what the operator has to expect."""


def statements(sql: str) -> list[str]:
    """A revision's own statements, each on one line, without comments."""
    text = re.sub(r"\$\$.*?\$\$", "$$", re.sub(r"--[^\n]*", "", sql), flags=re.DOTALL)
    each = (" ".join(part.split()) for part in text.split(";"))
    return [part for part in each if part and not OURS.match(part)]


def breaches(sql: Sequence[str], known: set[str], *, may_drop: bool = False) -> Iterator[str]:
    """What these statements do that no revision may, to tables that were there before."""
    text = [each for each in sql if (table := _table(each)) is None or table in known]
    for each in text:
        for pattern, reason in NEVER.items():
            if re.search(pattern, each, re.IGNORECASE):
                yield f"{reason}: {each}"
        if re.match(r"(UPDATE|DELETE FROM|INSERT INTO)\b", each, re.IGNORECASE):
            yield f"changes data: {each}"
        if not may_drop and re.search(r"^DROP TABLE|DROP COLUMN", each, re.IGNORECASE):
            yield f"drops what the version before uses: {each}"
        for column in re.findall(r"ADD COLUMN [^,]*", each, re.IGNORECASE):
            if "NOT NULL" in column and "DEFAULT" not in column:
                yield f"adds a column that the version before does not fill: {each}"
        if re.search(r"ADD CONSTRAINT", each, re.IGNORECASE) and "NOT VALID" not in each:
            yield f"adds a constraint in one step: {each}"
        if re.match(r"(CREATE (UNIQUE )?|DROP )INDEX (?!CONCURRENTLY)", each, re.IGNORECASE):
            yield f"an index not concurrently: {each}"
    concurrent = [each for each in sql if "CONCURRENTLY" in each]
    if concurrent and len(concurrent) < len(sql):
        yield f"an index concurrently, and something else in the same revision: {concurrent[0]}"
    for index in (
        m[1] for each in concurrent if (m := re.match(r"CREATE .*?CONCURRENTLY (\w+)", each))
    ):
        if f"DROP INDEX CONCURRENTLY IF EXISTS {index}" not in sql:
            yield f"a half-built index of an earlier attempt is not dropped: {index}"


def _table(statement: str) -> str | None:
    found = re.match(
        r"(?:CREATE (?:UNIQUE )?INDEX \w+ ON|ALTER TABLE|DROP TABLE|UPDATE|INSERT INTO|DELETE FROM)"
        r" (?:IF EXISTS |ONLY )*(\w+)",
        statement,
        re.IGNORECASE,
    )
    return found[1] if found else None


def made(sql: Sequence[str]) -> set[str]:
    """The tables that these statements create."""
    return {found[1] for each in sql if (found := re.match(r"CREATE TABLE (\w+)", each))}


def sql_of(before: str, revision: str) -> list[str]:
    """A revision's own statements upwards."""
    output = io.StringIO()
    command.upgrade(configured(output), f"{before}:{revision}", sql=True)
    return statements(output.getvalue())


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision(revision: str) -> None:
    """It does nothing that would hold up, or break, the version before it."""
    known: set[str] = set()
    before = "base"
    for each in REVISIONS[: REVISIONS.index(revision)]:
        known |= made(sql_of(before, each))
        before = each
    sql = sql_of(before, revision)
    assert sql, "it does nothing"
    [file] = [file for file in FILES if file.name.startswith(revision)]
    # What no version uses any more may go, where the revision says since when.
    may_drop = re.search(r"Unused since \d{4}", file.read_text()) is not None
    assert [
        breach
        for breach in breaches(sql, known, may_drop=may_drop)
        if (revision, breach.partition(":")[0]) not in JUSTIFIED
    ] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file(file: Path) -> None:
    """One line of revisions, each of them a text of its own that goes up and down."""
    tree = ast.parse(file.read_text())
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not [name for name in imported if name.startswith("juststorage")]
    values = {
        node.target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if node.target.id in {"revision", "down_revision"} and node.value is not None
    }
    place = FILES.index(file)
    assert values["revision"] == file.name[:4]
    assert values["down_revision"] == (FILES[place - 1].name[:4] if place else None)
    bodies = {
        node.name: [each for each in node.body if not isinstance(each, ast.Pass)]
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    assert len(bodies["upgrade"]) > 1 and len(bodies["downgrade"]) > 1, "docstring and statements"


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE objects RENAME COLUMN key TO name",
        "ALTER TABLE objects RENAME TO things",
        "ALTER INDEX objects_newest_idx RENAME TO other",
        "ALTER TABLE objects DROP COLUMN key",
        "DROP TABLE objects",
        "ALTER TABLE objects ALTER COLUMN key SET NOT NULL",
        "ALTER TABLE objects ALTER COLUMN size_bytes TYPE integer",
        "ALTER TABLE objects ADD COLUMN owner TEXT NOT NULL",
        "ALTER TABLE objects ADD CONSTRAINT c CHECK (size_bytes > 0)",
        "CREATE INDEX i ON objects (key)",
        "CREATE UNIQUE INDEX i ON objects (key)",
        "DROP INDEX objects_newest_idx",
        "CREATE INDEX CONCURRENTLY i ON objects (key)",
        "DROP INDEX CONCURRENTLY IF EXISTS i; CREATE INDEX CONCURRENTLY i ON objects (key);"
        " CREATE TABLE other (id TEXT)",
        "UPDATE objects SET key = 'k'",
        "DELETE FROM objects",
        "SET LOCAL lock_timeout = '1h'",
        "LOCK TABLE objects",
        "-- a comment; with a semicolon\nLOCK TABLE objects",
    ],
)
def test_what_a_revision_may_not_do(sql: str) -> None:
    """Each rule is heard when it is broken."""
    assert list(breaches(statements(sql), {"objects"}))


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE objects ADD COLUMN owner TEXT",
        "ALTER TABLE objects ADD COLUMN owner TEXT DEFAULT 'x' NOT NULL",
        "ALTER TABLE objects ADD CONSTRAINT c CHECK (size_bytes > 0) NOT VALID",
        "ALTER TABLE objects VALIDATE CONSTRAINT c",
        "CREATE TABLE other (id TEXT); CREATE INDEX i ON other (id)",
        "DROP INDEX CONCURRENTLY IF EXISTS i; CREATE INDEX CONCURRENTLY i ON objects (key)",
    ],
)
def test_what_a_revision_may_do(sql: str) -> None:
    """Tables, indexes, columns that may be empty or have a default, constraints in two steps."""
    assert list(breaches(statements(sql), {"objects"})) == []
