"""A day or an instant is read in one way, whatever its spelling, or refused."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pravah.days import KOLKATA, end_of_day, parse_day, parse_instant

NO_DAY = [
    "",
    "today",
    "20220320",
    "2022-3-20",
    "20/03/2022",
    "2022-02-30",
    "2022-13-01",
    "1647801000",
    "19071",
    "2022-03-20T23:59:59",
    "2022-03-20 23:59:59",
    "2022-03-20T23:59:59 05:30",
    "2022-03-20T24:00:00Z",
    "2022-02-30T10:00:00Z",
    "2022-03-20T10:00:00+99:00",
    "2022-W11-7",
    "२०२२-०३-२०",
    "1969-12-31",
    "2149-06-07",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:00-14:00",
]


@pytest.mark.parametrize("text", NO_DAY)
def test_what_is_no_day_is_refused_with_the_text(text: str) -> None:
    for parse in (parse_day, parse_instant):
        with pytest.raises(ValueError, match=r"is no (day|instant)") as error:
            parse(text)
        assert repr(text) in str(error.value)


def test_a_day_is_no_instant() -> None:
    with pytest.raises(ValueError, match="needs its zone"):
        parse_instant("2022-03-20")


@given(
    st.datetimes(datetime(1970, 1, 3), datetime(2149, 6, 4), timezones=st.just(UTC)),
    st.integers(-14 * 60, 14 * 60),
)
@example(datetime(2022, 3, 20, 18, 29, 59, 999_999, tzinfo=UTC), 330)
@example(datetime(2022, 3, 20, 18, 30, tzinfo=UTC), 330)
def test_every_spelling_of_an_instant_is_the_same_day(instant: datetime, minutes: int) -> None:
    written = instant.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
    day = instant.astimezone(KOLKATA).date()
    in_utc = instant.isoformat().replace("+00:00", "Z")
    for text in (written, written.replace("T", " "), in_utc, f" {written[:-3]}{written[-2:]} "):
        assert parse_instant(text) == instant
        assert parse_day(text) == day
    assert parse_day(day.isoformat()) == day


def test_the_end_of_a_day() -> None:
    assert end_of_day(date(2022, 3, 20)).isoformat() == "2022-03-20T23:59:59+05:30"
    assert abs(end_of_day(None) - datetime.now(UTC)) < timedelta(seconds=5)
