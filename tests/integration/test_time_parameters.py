"""Every spelling of an instant or a day gives the same figures, or is refused."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from operations.bootstrap import prepare
from pravah.days import KOLKATA
from pravah.settings import Settings
from sinks.connection import connect
from tests.integration.test_members import reported
from tests.integration.test_plan import any_event
from tests.support import small_world
from tests.support.deployment import empty
from tests.support.folding import fold

# View of a day → its further arguments, and the view of an instant that shows the same.
DAY_VIEWS = {
    "plan_status_on": ("", "plan_status_at"),
    "plan_progress_on": ("", "plan_progress_at"),
    "plan_forecast_on": (", share = 0.8", "plan_forecast_at"),
    "defaulters_on": ("", "defaulters_at"),
    "unit_activity_on": (", days = 14", "unit_activity"),
    "members_on": (", exact_up_to = 1000", "members_at"),
    "members_named_twice_on": (", unit = 'CG'", "members_named_twice"),
}
# View of a range of days → its arguments before and after the days.
RANGE_VIEWS = {
    "reporting_rates": ("reporting_level = 'booth', ", ", days = 1"),
    "unusual_values": ("", ""),
}
NO_INSTANT = [
    "'2022-03-20T23:59:59'",
    "'2022-03-20 23:59:59'",
    "toDateTime64('2022-03-20 23:59:59', 3, 'UTC')",
    "parseDateTime64BestEffort('2022-03-20T23:59:59+05:30', 3, 'Asia/Kolkata')",
    "now()",
    "1647801000",
    "1647801000000",
    "'1647801000'",
    "'20/03/2022'",
    "'2022-02-30T10:00:00Z'",
    "'2022-03-20T24:00:00Z'",
    "'2022-03-20T23:59:59 05:30'",
    "''",
    "NULL",
]
NO_DAY = [*NO_INSTANT, "'2022-02-30'", "'2022-13-01'", "'20220320'", "'22-03-20'", "19071"]


@pytest.fixture(scope="module")
def client(services: Settings) -> Iterator[Client]:
    empty(services)
    prepare(services, lambda _: None, registry=small_world.registry())
    choose = random.Random(21)
    fold(
        services.clickhouse,
        small_world.registry(),
        [any_event(choose) for _ in range(400)]
        + [{**reported(choose, n), "entity": f"m:{n}"} for n in range(300)],
    )
    with connect(services.clickhouse, "grafana") as client:
        yield client


def spellings(instant: datetime) -> list[str]:
    zones = [KOLKATA, UTC, timezone(timedelta(hours=-8)), timezone(timedelta(hours=14))]
    texts = [instant.astimezone(zone).isoformat(timespec="milliseconds") for zone in zones]
    texts += [texts[0].replace("T", " "), texts[0][:-3] + texts[0][-2:]]
    texts.append(texts[1].replace("+00:00", "Z"))
    return texts


def rows(client: Client, query: str, **values: object) -> list:
    return sorted(client.execute(query, values), key=repr)


@pytest.mark.parametrize("view", DAY_VIEWS)
def test_all_spellings_of_an_instant_give_the_figures_of_its_day(client: Client, view: str) -> None:
    more, of_an_instant = DAY_VIEWS[view]
    for text in ("2022-03-20T23:59:59.999+05:30", "2022-03-21T00:00:00+05:30"):
        instant = datetime.fromisoformat(text)
        expected = rows(
            client,
            f"SELECT * FROM {of_an_instant}(as_of = fromUnixTimestamp64Milli(%(ms)s){more})",
            ms=int(instant.timestamp() * 1000),
        )
        query = f"SELECT * FROM {view}(day = %(day)s{more})"
        for spelling in [*spellings(instant), text[:10], instant.date()]:
            assert rows(client, query, day=spelling) == expected, spelling
    first, last = (rows(client, query, day=day) for day in ("2022-03-02", "2022-04-25"))
    assert first != last, "the day matters"


@pytest.mark.parametrize("view", DAY_VIEWS)
def test_a_view_of_a_day_has_the_columns_of_the_older_one(client: Client, view: str) -> None:
    more, of_an_instant = DAY_VIEWS[view]
    columns = [
        client.execute(f"DESCRIBE (SELECT * FROM {call}{more}))")
        for call in (f"{view}(day = '2022-03-20'", f"{of_an_instant}(as_of = now()")
    ]
    assert columns[0] == columns[1]


@pytest.mark.parametrize("view", DAY_VIEWS)
def test_the_zone_of_a_session_changes_nothing(client: Client, view: str) -> None:
    query = f"SELECT * FROM {view}(day = '2022-03-20T23:59:59+05:30'{DAY_VIEWS[view][0]})"
    elsewhere = {"session_timezone": "America/New_York"}
    assert sorted(client.execute(query, settings=elsewhere), key=repr) == rows(client, query)


def test_a_range_of_days_reads_by_the_index(client: Client) -> None:
    query = "EXPLAIN indexes = 1 SELECT * FROM unusual_values(first = %(day)s, last = %(day)s)"
    plan = "\n".join(row[0] for row in client.execute(query, {"day": "2022-03-20"}))
    assert "day in [" in plan or "day in (-Inf, 19071]" in plan, plan


@pytest.mark.parametrize("view", DAY_VIEWS)
@pytest.mark.parametrize("argument", NO_DAY)
def test_what_is_no_day_is_refused(client: Client, view: str, argument: str) -> None:
    with pytest.raises(ServerException, match="day: a day such as 2022-03-20"):
        client.execute(f"SELECT * FROM {view}(day = {argument}{DAY_VIEWS[view][0]})")


@pytest.mark.parametrize("view", RANGE_VIEWS)
def test_a_range_takes_days_and_refuses_the_rest(client: Client, view: str) -> None:
    before, after = RANGE_VIEWS[view]
    query = f"SELECT * FROM {view}({before}first = %(first)s, last = %(last)s{after})"
    expected = rows(client, query, first="2022-03-05", last="2022-03-20")
    instant = datetime.fromisoformat("2022-03-20T23:59:59.999+05:30")
    for spelling in [*spellings(instant), instant.date()]:
        assert rows(client, query, first="2022-03-05", last=spelling) == expected, spelling
    for argument in NO_DAY:
        for span in (
            f"first = {argument}, last = '2022-03-20'",
            f"first = '2022-03-20', last = {argument}",
        ):
            with pytest.raises(ServerException, match=": a day such as 2022-03-20"):
                client.execute(f"SELECT * FROM {view}({before}{span}{after})")


def test_figures_as_known_at_an_instant(client: Client) -> None:
    ((appended,),) = client.execute(
        "SELECT median(toUnixTimestamp64Milli(last_appended_at)) FROM chunks"
    )
    instant = datetime.fromtimestamp(int(appended) / 1000, UTC)
    expected = rows(
        client,
        "SELECT * FROM rollups_as_known(as_of = fromUnixTimestamp64Milli(%(ms)s))",
        ms=int(appended),
    )
    assert expected
    query = "SELECT * FROM rollups_known_at(instant = %(at)s)"
    for spelling in spellings(instant):
        assert rows(client, query, at=spelling) == expected, spelling
    for argument in [*NO_INSTANT, "'2022-03-20'", "toDate('2022-03-20')"]:
        with pytest.raises(ServerException, match="instant: an instant with its zone"):
            client.execute(f"SELECT * FROM rollups_known_at(instant = {argument})")
