"""The schema goes forward and backward, and can be written for a cluster."""

import pytest
from clickhouse_driver import Client

from sinks.migrate import Schema, applied, migrate, migrations


def _shape(writer: Client, database: str) -> list:
    # A view that is being refreshed has a table beside it that is not there yet.
    query = """
        SELECT name, engine, create_table_query FROM system.tables
        WHERE database = %(d)s AND name != 'migrations' AND NOT startsWith(name, '.tmp')
        ORDER BY name
    """
    return writer.execute(query, {"d": database})


def test_each_step_forward_is_undone_by_its_step_backward(writer: Client) -> None:
    writer.execute("DROP DATABASE IF EXISTS pravah SYNC")
    schema = Schema("pravah")
    shapes = [[]]
    for number in range(1, len(migrations()) + 1):
        assert len(list(migrate(writer, schema, number))) == 1
        shapes.append(_shape(writer, "pravah"))
    assert shapes[-1] != shapes[0]
    for number in range(len(migrations()) - 1, -1, -1):
        assert len(list(migrate(writer, schema, number))) == 1
        assert applied(writer, schema) == number
        assert _shape(writer, "pravah") == shapes[number]
    list(migrate(writer, schema))
    assert _shape(writer, "pravah") == shapes[-1]
    assert not list(migrate(writer, schema)), "a second run finds nothing to do"


def test_an_unknown_number_is_refused(writer: Client) -> None:
    with pytest.raises(ValueError, match="there is no migration 99"):
        list(migrate(writer, Schema("pravah"), 99))


def test_a_table_like_another_is_on_a_cluster_what_that_one_is() -> None:
    assert Schema("pravah").create_table_like("next", "journal", shard_by="partition") == [
        "CREATE TABLE pravah.next AS pravah.journal"
    ]
    copy, spread = Schema("pravah", cluster="india").create_table_like(
        "next", "journal", shard_by="partition"
    )
    assert copy == "CREATE TABLE pravah.next_local ON CLUSTER india AS pravah.journal_local"
    assert (
        spread == "CREATE TABLE pravah.next ON CLUSTER india AS pravah.next_local "
        "ENGINE = Distributed('india', 'pravah', 'next_local', partition)"
    )


def test_for_a_cluster_every_statement_names_it_and_tables_are_replicated(writer: Client) -> None:
    schema = Schema("pravah", cluster="india")
    for migration in migrations():
        for statement in [*migration.module.forward(schema), *migration.module.backward(schema)]:
            assert "ON CLUSTER india" in statement or statement.startswith("INSERT INTO pravah."), (
                "data go through the distributed table"
            )
            assert writer.execute(f"EXPLAIN AST {statement}"), "ClickHouse parses it"
            if statement.startswith("CREATE TABLE"):
                assert (
                    "ENGINE = Replicated" in statement
                    or "ENGINE = Distributed('india'" in statement
                )
