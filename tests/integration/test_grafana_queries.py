"""Every panel's query, as the Grafana user, on the full registry and a simulated campaign."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from grafana.alerts import RULES
from grafana.build import dashboards
from grafana.dashboards import activity, explain, programme, subtree, wall
from grafana.dashboards.base import AICC_COPY, DISTRICT, EXPLAIN, PIPELINE, WALL
from pravah.settings import Settings
from schemas.scopes import name_database
from tests.support import oracle
from tests.support.grafana_campaign import ON, Campaign, deploy_campaign
from tests.support.grafana_sql import as_sent
from tests.support.hostile_queries import HOSTILE, TABLES, WHOLE

ODD = ["O'Brien \\ ''); DROP TABLE units; --", "CG-D-???", ""]

PANELS = [
    (uid, panel)
    for uid, dashboard in dashboards().items()
    for panel in dashboard["panels"]
    if "rawSql" in panel["targets"][0]
]
QUIET = {
    # in this history nothing was rejected, repaired, folded twice or pulled, and no plan was loaded
    # twice
    ("pravah-pipeline", "reasons of rejection"),
    ("pravah-pipeline", "what was rejected"),
    ("pravah-pipeline", "more than one attempt"),
    ("pravah-pipeline", "reconciliations"),
    ("pravah-pipeline", "repairs"),
}
MOVED = {("pravah-district", "moves of units"), ("pravah-assembly", "moves of units")}


def english(panel: dict) -> str:
    return panel["title"].rpartition(" · ")[2]


@pytest.fixture(scope="module")
def campaign(services: Settings) -> Iterator[Campaign]:
    """Folded once for the module."""
    with deploy_campaign(services) as deployed:
        yield deployed


def choices(campaign: Campaign, uid: str) -> dict[str, dict[str, list[str] | str]]:
    """For each choice: variable → values. `unit` is always one; a link may pass anything."""
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
        campaign.query(
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
    (today,) = campaign.query(wall.against_usual(wall.MEMBERS), unit="CG")
    assert today["today"] == by_day.get(ON)
    before = sorted(
        amount for day, amount in by_day.items() if ON - timedelta(days=wall.USUAL_DAYS) <= day < ON
    )
    assert today["usual"] == before[len(before) // 2]
    trend = campaign.query(wall.TREND, unit="CG")
    assert len(trend) == 31
    assert sum(
        (row["members_manual"] or 0) + (row["members_digital"] or 0) for row in trend
    ) == _flow(campaign, "state", "CG", members, ON - timedelta(days=30), ON)
    assert {
        row["milestone"]: tuple(row[state] for state in oracle.STATES)
        for row in campaign.query(wall.MILESTONES, unit="CG")
    } == {
        milestone: tuple(counts.values())
        for (milestone, unit), counts in campaign.progress.items()
        if unit == "CG"
    }
    (reported,) = campaign.query(wall.REPORTED, unit="CG")
    assert reported["reported"] == len(
        {
            unit
            for (day, level, unit, _) in campaign.figures
            if (day, level) == (ON, "booth") and campaign.hierarchy.is_open(unit, ON)
        }
    )
    worst = campaign.query(wall.WORST, unit="CG")
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
    calls = campaign.query(wall.CALLS, unit="CG")
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
        rows = campaign.query(sql, unit="CG", milestone=milestones)
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
    pace = campaign.query(programme.PACE, unit="CG", milestone="booth_appointed")
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
    for row in campaign.query(subtree.FIGURES, unit=unit):
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
        row["metric"]: row for row in campaign.query(activity.TOTALS, unit=unit, metric=list(known))
    }
    for metric in flows:
        assert (by_metric[metric]["value"] or 0) == _flow(
            campaign, level, unit, {metric}, ON - timedelta(days=30), ON
        )


def test_the_events_behind_a_figure_add_up_to_it(campaign: Campaign) -> None:
    """For flows and stocks, at units of all levels, also with corrections and retractions."""
    compared = 0
    for unit in ("CG", "CG-D-RPR", "CG-AC084"):
        for metric in ("members_digital", "posts_facebook", "whatsapp_group_members", "volunteers"):
            figures = campaign.query(explain.FIGURE, unit=unit, metric=metric, days=120)
            for row in figures:
                assert row["equal"] == 1, (unit, metric, row)
                compared += 1
            events = campaign.query(explain.EVENTS, unit=unit, metric=metric, days=120)
            assert all(row["version"] <= row["highest"] for row in events)
            origins = campaign.query(explain.ORIGINS, unit=unit, metric=metric, days=120)
            assert sum(row["value"] for row in origins) == sum(row["value"] for row in figures)
    assert compared > 8


def test_moves_of_units_are_listed_at_both_ends(campaign: Campaign) -> None:
    left = campaign.query(subtree.MOVES, unit="CG-D-KOR")
    came = campaign.query(subtree.MOVES, unit="CG-D-MCB")
    assert {row["direction"] for row in left} == {"गई · out"}
    assert {(row["moved_on"], row["units"]) for row in came if "Koriya" in row["from_units"]} == {
        (row["moved_on"], row["units"]) for row in left if "Manendragarh" in row["to_units"]
    }
    assert came


# --- a viewer of one district

OWN = "CG-D-NRP"


@pytest.fixture(scope="module")
def viewer(campaign: Campaign) -> Iterator[Client]:
    """The account of one district."""
    settings = campaign.settings.clickhouse
    account = settings.scoped[OWN]
    with Client(
        settings.host,
        port=settings.native_port,
        database=name_database(OWN, settings.database),
        user=account.user,
        password=account.password.get_secret_value(),
    ) as client:
        yield client


def test_a_viewer_of_a_district_sees_its_figures_as_everybody_does(
    campaign: Campaign, viewer: Client
) -> None:
    for sql in (
        subtree.FIGURES,
        subtree.BOOTHS,
        subtree.RATES,
        subtree.MEMBERS,
        programme.ASSEMBLIES,
    ):
        variables = {"unit": OWN, "milestone": ["booth_appointed", "booth_groups"]}
        assert [
            row
            for row in campaign.query(sql, client=viewer, **variables)
            if row.get("unit", OWN) == OWN
        ] == [row for row in campaign.query(sql, **variables) if row.get("unit", OWN) == OWN]
    whole = {row["milestone"]: row for row in campaign.query(wall.MILESTONES, unit=OWN)}
    assert {
        row["milestone"]: row for row in campaign.query(wall.MILESTONES, client=viewer, unit=OWN)
    } == whole
    assert whole
    panels = [
        panel
        for panel in dashboards()[DISTRICT]["panels"] + dashboards()[EXPLAIN]["panels"]
        if "rawSql" in panel["targets"][0]
    ]
    for panel in panels:
        campaign.query(
            panel["targets"][0]["rawSql"],
            client=viewer,
            unit=OWN,
            metric="members_digital",
            milestone=["booth_groups"],
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
    # the attempts are real: the state's account gets all rows by them, the viewer its own
    assert "SELECT unit FROM units" in allowed
    assert "SELECT * FROM api_tokens" in refused
    assert {row[0] for row in campaign.grafana.execute("SELECT unit FROM units")} >= foreign
    assert len(viewer.execute("SELECT unit FROM units")) == 129


def test_a_milestone_at_risk_fires_while_there_is_time_and_only_by_the_forecast(
    campaign: Campaign,
) -> None:
    (rule,) = [rule for rule in RULES if rule.uid == "pravah-milestone-at-risk"]
    last = datetime.combine(ON, datetime.min.time(), oracle.KOLKATA) + timedelta(hours=12)
    rows, columns = campaign.grafana.execute(
        as_sent(rule.sql, last - timedelta(hours=1), last), with_column_types=True
    )
    names = [name for name, _ in columns]
    firing = {
        (row[names.index("unit")], row[names.index("milestone")]): row[-1]
        for row in rows
        if row[-1] > rule.threshold
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
    assert firing == expected
    assert firing
    assert len(firing) < len({unit for unit, *_ in forecast}), "some districts are on their way"
    before = last - timedelta(days=60)
    assert not [
        row
        for row in campaign.grafana.execute(as_sent(rule.sql, before, before))
        if row[names.index("milestone")] == "booth_groups"
    ], "ten weeks ahead is too early"
