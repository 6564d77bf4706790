"""Every panel's query, as the Grafana user, over the registry that comes with Pravah and half a year of a simulated campaign; and what a viewer of one district gets by any query.

Set `EVENTS` higher to look at more: the figures compared are the same.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

import reference
from grafana.alerts import RULES
from grafana.build import dashboards
from grafana.dashboards import activity, explain, programme, wall
from grafana.dashboards import subtree
from grafana.dashboards.base import AICC_COPY, DISTRICT, EXPLAIN, PIPELINE, WALL
from operations.bootstrap import default_dictionary, default_plan
from operations.registry import read_registry_files
from pravah.settings import Settings
from producers.simulator import SimulationOptions, simulate
from sinks.connection import connect
from sinks.dimensions import load_metrics, load_registry
from sinks.migrate import Schema, migrate
from sinks.plan import load_plan
from tests.support import oracle
from tests.support.deployment import empty, until
from tests.support.folding import fold
from tests.support.grafana_sql import as_sent

EVENTS = 5_000
LAST = date(2022, 7, 31)
FIRST = LAST - timedelta(days=179)
ON = date(2022, 6, 24)
ODD = ["O'Brien \\ ''); DROP TABLE units; --", "CG-D-???", ""]

PANELS = [
    (uid, panel)
    for uid, dashboard in dashboards().items()
    for panel in dashboard["panels"]
    if "rawSql" in panel["targets"][0]
]
QUIET = {
    # nothing was rejected, repaired or folded twice in this history, no plan was loaded twice, nothing was pulled
    ("pravah-pipeline", "reasons of rejection"),
    ("pravah-pipeline", "what was rejected"),
    ("pravah-pipeline", "more than one attempt"),
    ("pravah-pipeline", "reconciliations"),
    ("pravah-pipeline", "repairs"),
}
MOVED = {("pravah-district", "moves of units"), ("pravah-assembly", "moves of units")}


def english(panel: dict) -> str:
    return panel["title"].rpartition(" · ")[2]


class Campaign:
    """The campaign in ClickHouse, and what the oracle makes of the same events."""

    def __init__(self, settings: Settings, events: list[dict]) -> None:
        self.settings = settings
        hierarchy = oracle.Hierarchy.read(Path(reference.registry_files()[0]).parent)
        self.figures = oracle.figures([dict(event) for event in events], hierarchy)
        self.progress = oracle.plan_progress(
            oracle.plan_status(oracle.completion_days(events), hierarchy, ON), hierarchy, ON
        )
        self.hierarchy = hierarchy
        self.grafana = connect(settings.clickhouse, "grafana")

    def ask(
        self,
        sql: str,
        *,
        client: Client | None = None,
        days: int = 30,
        **variables: list[str] | str,
    ) -> list[dict]:
        """Rows of a query for the days up to `ON`."""
        last = datetime.combine(ON, datetime.min.time(), oracle.KOLKATA) + timedelta(
            hours=23, minutes=59
        )
        rows, columns = (client or self.grafana).execute(
            as_sent(sql, last - timedelta(days=days), last, variables), with_column_types=True
        )
        return [dict(zip([name for name, _ in columns], row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def campaign(services: Settings) -> Iterator[Campaign]:
    """Folded once for the module. Reports come when they are sent, so that lateness is what it would have been."""
    empty(services)
    registry = read_registry_files(reference.registry_files())
    schema = Schema(services.clickhouse.database)
    with connect(services.clickhouse, "writer", database="default") as client:
        list(migrate(client, schema))
    options = SimulationOptions(events=EVENTS, first=FIRST, last=LAST, broken=0, wrong_key=0)
    events = [
        json.loads(delivery.value or b"")
        for delivery in simulate(registry, default_plan(), options)
    ]
    with connect(services.clickhouse, "writer") as client:
        load_metrics(client, schema, default_dictionary())
        load_plan(client, schema, default_plan(), author="test", reason="test")
        load_registry(client, schema, registry)
        fold(
            services.clickhouse,
            registry,
            events,
            appended_at=int(datetime(2022, 6, 24, 18, tzinfo=oracle.KOLKATA).timestamp() * 1000),
        )
        client.execute("SYSTEM REFRESH VIEW board_done_refresh")
        until(
            lambda: (
                client.execute("SELECT count() FROM board_done")
                == client.execute("SELECT count() FROM plan_done")
            ),
            "the board",
        )
        client.execute(
            "CREATE TABLE IF NOT EXISTS pulled_rollups (source LowCardinality(String), level"
            " LowCardinality(String), unit LowCardinality(String), metric LowCardinality(String),"
            " day Date, value Int64, verified_value Int64, page UInt64, deleted UInt8) ENGINE ="
            " ReplacingMergeTree(page, deleted) ORDER BY (source, level, metric, unit, day)"
        )
        client.execute(
            "INSERT INTO pulled_rollups SELECT 'CG', toString(level), unit, metric, day, value,"
            " verified_value, 1, 0 FROM rollups WHERE level = 'state'"
        )
    made = Campaign(services, events)
    yield made
    made.grafana.disconnect()


def choices(campaign: Campaign, uid: str) -> dict[str, dict[str, list[str] | str]]:
    """For each way to choose: variable → values. `unit` is always one; a link may bring anything."""
    unit = {
        "pravah-wall": "CG",
        "pravah-district": "CG-D-RPR",
        "pravah-assembly": "CG-AC048",
        "pravah-explain": "CG-AC048",
    }.get(uid, "CG")
    milestones = [
        row[0] for row in campaign.grafana.execute("SELECT DISTINCT milestone FROM milestones")
    ]
    metrics = [row[0] for row in campaign.grafana.execute("SELECT metric FROM metrics")]
    explained = "whatsapp_group_members" if uid == EXPLAIN else ""
    return {
        "all": {"unit": unit, "milestone": milestones, "metric": explained or metrics},
        "one": {
            "unit": "CG-D-RPR",
            "milestone": milestones[0],
            "metric": explained or "members_digital",
        },
        "several": {
            "unit": "CG-V-BST",
            "milestone": milestones[:3],
            "metric": explained or metrics[:4],
        },
        "none": {"unit": [], "milestone": [], "metric": []},
        "odd": {"unit": ODD[0], "milestone": ODD, "metric": ODD[0] if uid == EXPLAIN else ODD},
    }


def fits(grafana_unit: str, clickhouse_type: str) -> bool:
    """Whether a column's unit can show its type."""
    plain = clickhouse_type.removeprefix("LowCardinality(").removeprefix("Nullable(").rstrip(")")
    if grafana_unit.startswith("time:"):
        return plain == "Date"
    if grafana_unit == "dateTimeAsIso":
        return plain.startswith("DateTime")
    if grafana_unit == "percentunit":
        return plain.startswith(("Float", "UInt8"))
    if grafana_unit == "string":
        return plain.startswith(
            ("String", "FixedString", "DateTime", "Float64")
        )  # latitude and longitude are hidden
    return plain.startswith(("Int", "UInt", "Float"))


@pytest.mark.parametrize(
    ("uid", "panel"), PANELS, ids=[f"{uid}-{panel['id']}" for uid, panel in PANELS]
)
def test_every_panel_answers_whatever_is_chosen(campaign: Campaign, uid: str, panel: dict) -> None:
    sql = panel["targets"][0]["rawSql"]
    for chosen, variables in choices(campaign, uid).items():
        last = datetime.combine(ON, datetime.min.time(), oracle.KOLKATA) + timedelta(hours=23)
        rows, columns = campaign.grafana.execute(
            as_sent(sql, last - timedelta(days=140 if chosen == "all" else 30), last, variables),
            with_column_types=True,
        )
        overrides = {
            one["matcher"]["options"]: {
                value["id"]: value.get("value") for value in one["properties"]
            }
            for one in panel["fieldConfig"]["overrides"]
        }
        if panel["type"] == "timeseries":
            names = [name for name, _ in columns]
            assert names[0] == "time"
            assert columns[0][1].startswith("DateTime(")
            assert [row[0] for row in rows] == sorted(row[0] for row in rows)
            assert len(names) == 3 if "name" in names else set(names[1:]) == set(overrides)
        elif panel["type"] != "geomap":
            assert [name for name, _ in columns] == list(
                dict.fromkeys([name for name, _ in columns])
            )
            assert {name for name, _ in columns} == set(overrides), (
                "every column has a title, a unit and a place"
            )
            for name, kind in columns:
                assert fits(overrides[name]["unit"], kind) or name == "method", (
                    name,
                    overrides[name]["unit"],
                    kind,
                )
        if chosen == "all" and (uid, english(panel)) not in QUIET | MOVED and uid != PIPELINE:
            assert rows, "nothing to see"
            nothing = (
                (None, "") if english(panel) == "pipeline" else (None, 0, "")
            )  # the light is 0 at night, when nobody reports
            assert any(value not in nothing for row in rows for value in row[1:] or row)
        if (
            chosen in {"none", "odd"}
            and uid not in {PIPELINE, "pravah-aicc", AICC_COPY}
            and "unit" in sql
            and panel["type"] == "table"
            and "FROM plans" not in sql
        ):
            assert rows == [] or all(value in (None, 0, "") for row in rows for value in row[3:]), (
                "an unknown unit has no figures"
            )


def test_the_units_of_a_variable_are_value_and_label(campaign: Campaign) -> None:
    for uid, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                rows, columns = campaign.grafana.execute(variable["query"], with_column_types=True)
                assert [name for name, _ in columns] == ["value", "text"], uid
                assert rows
                assert len({row[0] for row in rows}) == len(rows), "a value stands once"
    assert (
        campaign.ask(
            next(
                v["query"] for v in dashboards()[WALL]["templating"]["list"] if v["name"] == "unit"
            )
        )[0]["value"]
        == "CG"
    )


def _flow(
    campaign: Campaign, level: str, unit: str, metrics: set[str], first: date, last: date
) -> int:
    return sum(
        value
        for (day, at, of, metric), (value, _) in campaign.figures.items()
        if (at, of) == (level, unit) and metric in metrics and first <= day <= last
    )


def test_the_walls_figures_are_the_oracles(campaign: Campaign) -> None:
    members = {"members_manual", "members_digital"}
    by_day: dict[date, int] = defaultdict(int)
    for (day, level, unit, metric), (value, _) in campaign.figures.items():
        if (level, unit) == ("state", "CG") and metric in members:
            by_day[day] += value
    (today,) = campaign.ask(wall.against_usual(wall.MEMBERS), unit="CG")
    assert today["today"] == by_day.get(ON)
    before = sorted(
        amount for day, amount in by_day.items() if ON - timedelta(days=wall.USUAL_DAYS) <= day < ON
    )
    assert today["usual"] == before[len(before) // 2]
    trend = campaign.ask(wall.TREND, unit="CG")
    assert len(trend) == 31
    assert sum(
        (row["members_manual"] or 0) + (row["members_digital"] or 0) for row in trend
    ) == _flow(campaign, "state", "CG", members, ON - timedelta(days=30), ON)
    assert {
        row["milestone"]: tuple(row[state] for state in oracle.STATES)
        for row in campaign.ask(wall.MILESTONES, unit="CG")
    } == {
        milestone: tuple(counts.values())
        for (milestone, unit), counts in campaign.progress.items()
        if unit == "CG"
    }
    (reported,) = campaign.ask(wall.REPORTED, unit="CG")
    assert reported["reported"] == len(
        {
            unit
            for (day, level, unit, _) in campaign.figures
            if (day, level) == (ON, "booth") and campaign.hierarchy.is_open(unit, ON)
        }
    )
    worst = campaign.ask(wall.WORST, unit="CG")
    for row in worst:
        assert row["overdue"] == sum(
            counts["overdue"]
            for (_, unit), counts in campaign.progress.items()
            if unit == row["unit"]
        )
        figures = [
            value
            for (day, _, unit, metric), (value, _) in campaign.figures.items()
            if (day, unit) == (ON, row["unit"]) and metric in members
        ]
        assert row["members"] == (sum(figures) if figures else None), "not reported is not zero"
    calls = campaign.ask(wall.CALLS, unit="CG")
    assert len(calls) == 9
    for row in calls:  # of booths that wait for an office of an assembly, those of this assembly
        level = campaign.hierarchy.levels[row["unit"]]
        assert level == "assembly"
        assert row["overdue"] == campaign.progress[row["milestone_code"], row["unit"]]["overdue"]


def test_every_unit_below_is_in_the_programme_once(campaign: Campaign) -> None:
    milestones = [
        row[0] for row in campaign.grafana.execute("SELECT DISTINCT milestone FROM milestones")
    ]
    for sql, level in (
        (programme.DIVISIONS, "division"),
        (programme.DISTRICTS, "district"),
        (programme.ASSEMBLIES, "assembly"),
    ):
        rows = campaign.ask(sql, unit="CG", milestone=milestones)
        assert (
            len(rows)
            == len({row["unit"] for row in rows})
            == sum(
                1
                for unit, at in campaign.hierarchy.levels.items()
                if at == level and campaign.hierarchy.is_open(unit, ON)
            )
        )
        for row in rows:
            counts = [
                counts for (_, unit), counts in campaign.progress.items() if unit == row["unit"]
            ]
            assert [row[state] for state in oracle.STATES] == [
                sum(one[state] for one in counts) for state in oracle.STATES
            ]
    pace = campaign.ask(programme.PACE, unit="CG", milestone="booth_appointed")
    counts = campaign.progress["booth_appointed", "CG"]
    assert pace[-1]["done"] == pytest.approx(
        (counts["done_on_time"] + counts["done_late"]) / sum(counts.values())
    )
    assert [row["done"] for row in pace] == sorted(row["done"] for row in pace)


@pytest.mark.parametrize(
    ("level", "unit"), [("state", "CG"), ("district", "CG-D-RPR"), ("assembly", "CG-AC084")]
)
def test_a_units_figures_are_the_oracles(campaign: Campaign, level: str, unit: str) -> None:
    known: dict[str, dict[date, tuple[int, int]]] = defaultdict(dict)
    for (day, at, of, metric), figure in campaign.figures.items():
        if (at, of) == (level, unit) and day <= ON:
            known[metric][day] = figure
    for row in campaign.ask(subtree.FIGURES, unit=unit):
        days = known.get(row["metric"])
        if not days:
            assert (row["value"], row["last_day"]) == (None, None)
        elif row["metric"] in oracle.STOCKS:
            assert (row["value"], row["verified"]) == days[max(days)]
        else:
            assert (row["value"], row["verified"]) == (
                sum(v for v, _ in days.values()),
                sum(v for _, v in days.values()),
            )
            assert row["today"] == (days[ON][0] if ON in days else None)
    flows = [metric for metric in known if metric not in oracle.STOCKS]
    by_metric = {
        row["metric"]: row for row in campaign.ask(activity.TOTALS, unit=unit, metric=list(known))
    }
    for metric in flows:
        assert (by_metric[metric]["value"] or 0) == _flow(
            campaign, level, unit, {metric}, ON - timedelta(days=30), ON
        )


def test_the_events_behind_a_figure_add_up_to_it(campaign: Campaign) -> None:
    """For flows and stocks, at units of every level, also where corrections and retractions came in between."""
    compared = 0
    for unit in ("CG", "CG-D-RPR", "CG-AC084"):
        for metric in ("members_digital", "posts_facebook", "whatsapp_group_members", "volunteers"):
            figures = campaign.ask(explain.FIGURE, unit=unit, metric=metric, days=120)
            for row in figures:
                assert row["equal"] == 1, (unit, metric, row)
                compared += 1
            events = campaign.ask(explain.EVENTS, unit=unit, metric=metric, days=120)
            assert all(row["version"] <= row["highest"] for row in events)
            origins = campaign.ask(explain.ORIGINS, unit=unit, metric=metric, days=120)
            assert sum(row["value"] for row in origins) == sum(row["value"] for row in figures)
    assert compared > 8


def test_moves_of_units_are_told_at_both_ends(campaign: Campaign) -> None:
    left = campaign.ask(subtree.MOVES, unit="CG-D-KOR")
    came = campaign.ask(subtree.MOVES, unit="CG-D-MCB")
    assert {row["direction"] for row in left} == {"गई · out"}
    assert {(row["moved_on"], row["units"]) for row in came if "Koriya" in row["from_units"]} == {
        (row["moved_on"], row["units"]) for row in left if "Manendragarh" in row["to_units"]
    }
    assert came


# --- a viewer of one district ---------------------------------------------------------------------------------------------------------------------------------

OWN = "CG-D-NRP"


@pytest.fixture(scope="module")
def viewer(campaign: Campaign) -> Iterator[Client]:
    """The account of one district."""
    settings = campaign.settings.clickhouse
    account = settings.scoped[OWN]
    with Client(
        settings.host,
        port=settings.native_port,
        database=settings.database,
        user=account.user,
        password=account.password.get_secret_value(),
    ) as client:
        yield client


def test_a_viewer_of_a_district_sees_its_figures_as_everybody_does(
    campaign: Campaign, viewer: Client
) -> None:
    for sql in (subtree.FIGURES, subtree.BOOTHS, subtree.RATES, subtree.MEMBERS, programme.ASSEMBLIES):
        variables = {"unit": OWN, "milestone": ["booth_appointed", "booth_groups"]}
        assert [
            row
            for row in campaign.ask(sql, client=viewer, **variables)
            if row.get("unit", OWN) == OWN
        ] == [row for row in campaign.ask(sql, **variables) if row.get("unit", OWN) == OWN]
    whole = {row["milestone"]: row for row in campaign.ask(wall.MILESTONES, unit=OWN)}
    assert {
        row["milestone"]: row for row in campaign.ask(wall.MILESTONES, client=viewer, unit=OWN)
    } == whole
    assert whole
    panels = [
        panel
        for panel in dashboards()[DISTRICT]["panels"] + dashboards()[EXPLAIN]["panels"]
        if "rawSql" in panel["targets"][0]
    ]
    for panel in panels:
        campaign.ask(
            panel["targets"][0]["rawSql"],
            client=viewer,
            unit=OWN,
            metric="members_digital",
            milestone=["booth_groups"],
        )


HOSTILE = [
    "SELECT unit FROM {table}",
    "SELECT * FROM {table} WHERE unit = 'CG-D-RPR'",
    "SELECT t.* FROM {table} AS t LEFT JOIN (SELECT 'CG-D-RPR' AS unit) AS o ON 1 = 1",
    "SELECT * FROM (SELECT * FROM {table}) WHERE unit LIKE 'CG-%'",
    "SELECT * FROM {table} UNION ALL SELECT * FROM {table}",
    "WITH t AS (SELECT * FROM {table}) SELECT * FROM t",
    "SELECT * FROM merge('pravah', '^{table}$')",
    "SELECT * FROM merge(currentDatabase(), '.*')",
    "SELECT * FROM remote('127.0.0.1', 'pravah', '{table}')",
    "SELECT * FROM cluster('default', 'pravah', '{table}')",
    "SELECT * FROM {table} SETTINGS apply_row_policy_after_final = 0",
    "SELECT * FROM {table} SETTINGS additional_table_filters = {{'{table}': '1'}}",
    "SELECT * FROM {table} PREWHERE 1 WHERE unit != ''",
    "SELECT groupArray(unit) FROM {table}",
    "SELECT min(unit), max(unit) FROM {table}",
    "SELECT unit FROM {table} WHERE ignore(sleep(0)) = 0 OR unit = 'CG-D-RPR'",
    "SELECT unit FROM {table} WHERE throwIf(unit LIKE 'CG-D-RPR%', toString(unit)) = 0",
    "CREATE TEMPORARY TABLE copied AS SELECT * FROM {table}",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT * FROM {table}))",
]
WHOLE = [
    "SELECT * FROM rollups",
    "SELECT * FROM totals",
    "SELECT * FROM events",
    "SELECT * FROM plan_status",
    "SELECT * FROM plan_progress_at(as_of = now64(3))",
    "SELECT * FROM board_progress(as_of = now64(3))",
    "SELECT * FROM board_defaulters(as_of = now64(3))",
    "SELECT * FROM board_forecast(as_of = now64(3), share = 0.8)",
    "SELECT * FROM unit_activity(as_of = now64(3), days = 10)",
    (
        "SELECT * FROM reporting_rates(reporting_level = 'booth', first = '2022-06-01', last ="
        " '2022-06-24', days = 1)"
    ),
    "SELECT * FROM members_at(as_of = now64(3), exact_up_to = 1000)",
    "SELECT * FROM members_named_twice(as_of = now64(3), unit = 'CG')",
    "SELECT * FROM unusual_values(first = '2022-06-01', last = '2022-06-24')",
    "SELECT * FROM rollups_as_known(as_of = now64(3))",
    "SELECT * FROM contacts",
    "SELECT * FROM scopes",
    "SELECT * FROM rejected_records",
    "SELECT * FROM back_check_samples",
    "SELECT * FROM deployment",
    "SELECT * FROM api_tokens",
    "SELECT * FROM pulled_rollups",
    "SELECT * FROM chunks",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.processes",
    "SELECT * FROM system.parts",
    "SELECT * FROM system.users",
    "SELECT * FROM system.row_policies",
    "SELECT * FROM system.grants",
    "SELECT * FROM url('http://127.0.0.1:1/', 'RawBLOB')",
    "SELECT * FROM file('*', 'RawBLOB')",
    "SELECT dictGet('pravah.units', 'name_en', 'CG-D-RPR')",
    "SHOW GRANTS FOR pravah_writer",
    "SELECT * FROM default.units",
    "INSERT INTO units (unit) VALUES ('CG-D-XXX')",
    "ALTER TABLE units DELETE WHERE 1",
    "DROP VIEW rollups",
    "CREATE USER other",
    "GRANT SELECT ON pravah.* TO `pravah_CG-D-NRP`",
    "SET allow_ddl = 1",
]
TABLES = (
    "units",
    "ledger",
    "journal",
    "plan_events",
    "membership_events",
    "unit_ancestors",
    "board_done",
    "scopes",
    "contacts",
)


def test_no_query_shows_a_viewer_another_districts_rows(campaign: Campaign, viewer: Client) -> None:
    foreign = {
        unit
        for unit in campaign.hierarchy.levels
        if unit.startswith("CG-") and campaign.hierarchy.ancestors(unit, ON).get("district") != OWN
    }
    foreign -= {"CG-AC084"}
    queries = [query.format(table=table) for table in TABLES for query in HOSTILE] + WHOLE
    allowed, refused = [], []
    for query in queries:
        try:
            rows = viewer.execute(query)
        except ServerException as error:
            message = str(error).partition("Stack trace")[0]
            assert not {unit for unit in foreign - {"CG-D-RPR"} if unit in message}, query
            refused.append(query)
            continue
        text = {
            str(value)
            for row in rows
            for value in (row if isinstance(row, tuple | list) else [row])
        } | {
            str(item)
            for row in rows
            for value in (row if isinstance(row, tuple | list) else [row])
            if isinstance(value, list | tuple)
            for item in value
        }
        assert not foreign & text - ({"CG-D-RPR"} if "'CG-D-RPR' AS unit" in query else set()), (
            query
        )
        allowed.append(query)
    # the attempts are real: the same reach everything for the state's own account, and the viewer's own rows for the viewer
    assert "SELECT unit FROM units" in allowed
    assert "SELECT * FROM api_tokens" in refused
    assert {row[0] for row in campaign.grafana.execute("SELECT unit FROM units")} >= foreign
    assert len(viewer.execute("SELECT unit FROM units")) == 129


def test_a_milestone_at_risk_is_told_while_there_is_time_and_only_where_the_forecast_says_so(
    campaign: Campaign,
) -> None:
    (rule,) = [rule for rule in RULES if rule.uid == "pravah-milestone-at-risk"]
    last = datetime.combine(ON, datetime.min.time(), oracle.KOLKATA) + timedelta(hours=12)
    rows, columns = campaign.grafana.execute(
        as_sent(rule.sql, last - timedelta(hours=1), last), with_column_types=True
    )
    names = [name for name, _ in columns]
    told = {
        (row[names.index("unit")], row[names.index("milestone")]): row[-1]
        for row in rows
        if row[-1] > rule.above
    }
    forecast = campaign.grafana.execute(
        "SELECT unit, milestone, toString(outlook), reached_at, deadline, goal - done, expected"
        f" FROM plan_forecast_at(as_of = fromUnixTimestamp64Milli({int(last.timestamp() * 1000)}),"
        " share = 0.8) WHERE level = 'district'"
    )
    expected = {
        (unit, milestone): float(missing)
        for unit, milestone, outlook, reached, deadline, missing, count in forecast
        if ON <= deadline <= ON + timedelta(days=21)
        and count > 1
        and (outlook == "not_in_sight" or (outlook == "forecast" and reached > deadline))
    }
    assert told == expected
    assert told
    assert len(told) < len({unit for unit, *_ in forecast}), "some districts are on their way"
    before = last - timedelta(days=60)
    assert not [
        row
        for row in campaign.grafana.execute(as_sent(rule.sql, before, before))
        if row[names.index("milestone")] == "booth_groups"
    ], "ten weeks ahead is too early"
