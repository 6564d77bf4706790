"""Rows that a district's account sees while units move.

Those of its units up to their last day in it, with the history that they brought.
"""

import random
from datetime import date, datetime

import pytest
from clickhouse_driver import Client

from grafana.accounts import account_statements
from schemas.contacts import contacts_from_csv
from schemas.scopes import list_grants, name_database, row_filters
from sinks.connection import connect
from sinks.control_room import load_contacts
from sinks.migrate import Schema
from stack import StackError, scoped_account
from tests.integration.test_plan import any_event
from tests.support import oracle, small_world
from tests.support.deployment import Deployment
from tests.support.folding import fold

CONTACTS = """\
unit,role,name,phone,language
CG-D-A,in-charge,Asha,+919876543210,hi
CG-D-B,in-charge,Ravi,+919876543211,hi
CG,in-charge,Uma,+919876543212,hi"""


def last_day_below(hierarchy: oracle.Hierarchy, unit: str, scope: str) -> date | None:
    """Walk over every day of the small world, and far beyond."""
    days = [date.fromisoformat(small_world.on(number)) for number in range(-10, 80)] + [
        date(2100, 1, 1)
    ]
    found = [day for day in days if scope in hierarchy.ancestors(unit, day).values()]
    return max(found) if found else None


@pytest.mark.parametrize("scope", ["CG-D-A", "CG-D-B", "CG-D-D"])
def test_a_districts_account_gets_the_rows_of_its_units_up_to_their_last_day_there(
    deployment: Deployment, tmp_path, scope: str
) -> None:
    choose = random.Random(scope)
    fold(
        deployment.settings.clickhouse,
        small_world.registry(),
        [any_event(choose) for _ in range(400)],
    )
    load_contacts(
        deployment.clickhouse,
        Schema("pravah"),
        contacts_from_csv(CONTACTS.splitlines(), {"CG-D-A", "CG-D-B", "CG"}),
    )
    hierarchy = oracle.Hierarchy.read(small_world.write(tmp_path))
    until = {unit: last_day_below(hierarchy, unit, scope) for unit in hierarchy.levels}
    settings = deployment.settings.clickhouse
    account = settings.scoped[scope]
    with Client(
        settings.host,
        port=settings.native_port,
        database=name_database(scope, "pravah"),
        user=account.user,
        password=account.password.get_secret_value(),
    ) as viewer:
        for table in ("ledger", "journal", "plan_events", "membership_events"):
            query = (
                f"SELECT * EXCEPT written_at FROM {table} FINAL"
                if table in {"ledger", "journal"}
                else f"SELECT * FROM {table} FINAL"
            )
            rows, columns = deployment.clickhouse.execute(query, with_column_types=True)
            names = [name for name, _ in columns]
            unit, day = names.index("unit"), names.index("day")
            mine = [
                row for row in rows if until[row[unit]] is not None and row[day] <= until[row[unit]]
            ]
            assert sorted(map(repr, viewer.execute(query))) == sorted(map(repr, mine))
            assert 0 < len(mine) < len(rows)
        assert {row[0] for row in viewer.execute("SELECT unit FROM units")} == {
            unit for unit, day in until.items() if day
        }
        assert {row[0] for row in viewer.execute("SELECT unit FROM contacts")} <= {scope}
        own = viewer.execute(
            "SELECT day, metric, value, verified_value FROM rollups WHERE unit = %(scope)s ORDER"
            " BY ALL",
            {"scope": scope},
        )
        assert own == deployment.clickhouse.execute(
            "SELECT day, metric, value, verified_value FROM rollups WHERE unit = %(scope)s ORDER"
            " BY ALL",
            {"scope": scope},
        )
        noon = datetime(2022, 4, 20, 12, tzinfo=oracle.KOLKATA)
        as_of = f"fromUnixTimestamp64Milli({int(noon.timestamp() * 1000)})"
        stocks = (
            "SELECT milestone, expected, done_on_time, overdue FROM plan_progress_at(as_of ="
            f" {as_of}) WHERE unit = '{scope}' ORDER BY ALL"
        )
        assert [row[:2] for row in viewer.execute(stocks)] == [
            row[:2] for row in deployment.clickhouse.execute(stocks)
        ]


def test_every_table_and_view_of_the_schema_is_named_or_withheld_on_purpose(
    deployment: Deployment,
) -> None:
    """A new table is not readable for scoped accounts until somebody has thought about its rows."""
    withheld = {
        *(
            "api_token",
            "api_tokens",
            "back_check_samples",
            "deployment",
            "leases",
            "migrations",
            "reconciliations",
            "rejected_records",
            "rejections",
            "rollups_as_known",
            "rollups_known_at",
        ),
        *("plan_events_feed", "membership_events_feed", "board_done_refresh"),
    }
    named = {grant.partition(" ON pravah.")[2] for grant in list_grants("pravah")}
    known = {
        row[0]
        for row in deployment.clickhouse.execute(
            "SELECT name FROM system.tables WHERE database = 'pravah' AND NOT startsWith(name, '.')"
        )
    }
    assert known - withheld == named
    assert not withheld & named
    tables = {
        row[0]
        for row in deployment.clickhouse.execute(
            "SELECT name FROM system.tables WHERE database = 'pravah' AND engine LIKE '%MergeTree'"
        )
    }
    assert tables & named - row_filters("CG", "pravah").keys() == {
        "plans",
        "plan_kinds",
        "metrics",
        "chunks",
    }


@pytest.mark.parametrize("code", ["CG' OR 1 = 1 --", "", "cg-d-a", "CG-D-A\n", "IN;"])
def test_what_is_no_unit_code_makes_no_account(tmp_path, code: str) -> None:
    with pytest.raises(ValueError, match="no unit code"):
        row_filters(code, "pravah")
    with pytest.raises(StackError, match="no unit code"):
        scoped_account(tmp_path / "home", code)


def test_an_account_that_a_running_server_does_not_know_yet_is_announced(
    services, tmp_path
) -> None:
    assert scoped_account(services.home, "CG-D-A") is True
    home = tmp_path / "another"
    assert scoped_account(home, "CG-D-A") is False
    kept = (home / "credentials.json").read_text()
    assert scoped_account(home, "CG-D-A") is False
    assert (home / "credentials.json").read_text() == kept, "a password is made once"
    assert (home / "credentials.json").stat().st_mode & 0o077 == 0


def test_headquarters_and_the_states_own_account_are_as_before(deployment: Deployment) -> None:
    load_contacts(
        deployment.clickhouse,
        Schema("pravah"),
        contacts_from_csv(CONTACTS.splitlines(), {"CG-D-A", "CG-D-B", "CG"}),
    )
    with (
        connect(deployment.settings.clickhouse, "grafana") as state,
        connect(deployment.settings.clickhouse, "aicc") as headquarters,
    ):
        assert state.execute("SELECT count() FROM contacts") == [(3,)]
        assert headquarters.execute("SELECT count() FROM contacts") == [(0,)]
        for client in (state, headquarters):
            assert client.execute("SELECT count() FROM units") == deployment.clickhouse.execute(
                "SELECT count() FROM units"
            )


def test_statements_for_a_server_of_ones_own_are_clickhouses(writer: Client) -> None:
    for cluster in (None, "india"):
        statements = account_statements("CG-D-RPR", "pravah", cluster)
        for statement in statements:
            assert writer.execute(f"EXPLAIN AST {statement.rstrip(';')}"), statement
            assert ("ON CLUSTER india" in statement) == (cluster is not None)
        assert any("journal_local" in one for one in statements) == (cluster is not None)
