"""A gateway's file of an earlier version is read on, with its tables under their names of today."""

import sqlite3
from pathlib import Path

from producers.gateway.schema import make_tables

OLD = {
    "issued_events": "told",
    "issued_hashes": "given_out",
}


def make_old_file(path: Path) -> None:
    """Create a file with the names that tables and indexes had before November 2026."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        make_tables(connection)
        for name in ("at", "changed_at", "version"):
            connection.execute(f"DROP INDEX issued_events_{name}")
        for new, old in OLD.items():
            connection.execute(f"ALTER TABLE {new} RENAME TO {old}")
        connection.execute("CREATE INDEX told_at ON told (entity, key, at)")
        connection.execute("CREATE INDEX told_changed_at ON told (entity, key, changed_at)")
        connection.execute("CREATE INDEX told_version ON told (entity, key, version)")
        connection.execute(
            "INSERT INTO told VALUES ('s', 'f', 'n', 0, 1, 2, '', 'CG-AC001', 'e', 3, 'CG', '{}')"
        )
        connection.execute("INSERT INTO given_out VALUES (x'aa')")
        connection.execute(
            "INSERT INTO archive (at, source, kind, headers, digest, body, outcome, reason, detail)"
            " VALUES (0, 's', 'hook', '', x'', x'', 'mended', '', '')"
        )


def test_an_earlier_versions_file_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite"
    make_old_file(path)
    with sqlite3.connect(path, isolation_level=None) as connection:
        for _ in range(2):  # a second start changes nothing
            make_tables(connection)
            assert connection.execute("SELECT entity, version FROM issued_events").fetchall() == [
                ("e", 2)
            ]
            assert connection.execute("SELECT hash FROM issued_hashes").fetchall() == [(b"\xaa",)]
            assert connection.execute("SELECT outcome FROM archive").fetchall() == [("corrected",)]
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert not names & {*OLD.values(), "told_at", "told_changed_at", "told_version"}
    assert {"issued_events_at", "issued_events_changed_at", "issued_events_version"} <= names


def test_a_new_file_and_an_earlier_versions_one_have_the_same_tables(tmp_path: Path) -> None:
    schemas = []
    for name in ("new", "old"):
        path = tmp_path / name
        if name == "old":
            make_old_file(path)
        with sqlite3.connect(path, isolation_level=None) as connection:
            make_tables(connection)
            schemas.append(
                {
                    (row[0], row[1].replace('"', "").replace("IF NOT EXISTS ", ""))
                    for row in connection.execute(
                        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
                    )
                }
            )
    assert schemas[0] == schemas[1]
