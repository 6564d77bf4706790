"""Panels that the district and assembly dashboards share."""

from grafana.dashboards.base import EXPLAIN
from grafana.labels import ACTIVITY_STATES, LEVELS, PLAIN
from grafana.panels import Column, Link, Place, stat_panel, table_panel, timeseries_panel
from grafana.sql import BELOW, DAY, DAYS, FIRST, LEVEL, UNIT, name

SILENT_DAYS = 14

NAME = f"""
    SELECT
        {name("u")} AS name, toString(u.level) AS level,
        arrayStringConcat(arrayReverse(groupArray(a.above)), ' → ') AS above
    FROM (SELECT * FROM units WHERE unit = {UNIT}) AS u
    CROSS JOIN (
        SELECT n.name_hi AS above FROM unit_ancestors AS l
        INNER JOIN (
            SELECT *
            FROM units
            WHERE unit IN (SELECT ancestor FROM unit_ancestors WHERE unit = {UNIT})
        ) AS n ON n.unit = l.ancestor
        WHERE l.unit = {UNIT} AND l.ancestor != l.unit AND {DAY} BETWEEN l.valid_from AND l.valid_to
        ORDER BY l.ancestor_level DESC
    ) AS a
    GROUP BY name, level
"""

BOOTHS = f"""
    SELECT
        count() AS booths, countIf(a.state = 'active') AS active, countIf(a.state = 'zero') AS zero,
        countIf(a.state = 'silent') AS silent
    FROM unit_activity(as_of = $__toTime, days = {SILENT_DAYS}) AS a
    WHERE a.level = 'booth' AND a.unit IN {BELOW}
"""

SILENT = f"""
    SELECT
        a.unit AS unit, {name("u")} AS name, toString(a.state) AS state,
        a.last_report AS last_report, a.days_since AS days_since
    FROM unit_activity(as_of = $__toTime, days = {SILENT_DAYS}) AS a
    INNER JOIN (SELECT * FROM units WHERE unit IN {BELOW}) AS u ON u.unit = a.unit
    WHERE a.level IN ('assembly', 'booth') AND a.state != 'active' AND a.unit IN {BELOW}
      AND a.unit != {UNIT}
    ORDER BY a.days_since DESC NULLS FIRST, a.unit LIMIT 500
"""

RATES = f"""
    SELECT
        toDateTime(day, 'Asia/Kolkata') AS time, reporting_rate AS complete, on_time_rate AS on_time
    FROM reporting_rates(reporting_level = 'booth', first = {FIRST}, last = {DAY}, days = 1)
    WHERE unit = {UNIT}
    ORDER BY time
"""

FIGURES = f"""
    SELECT
        m.metric AS metric, concat(m.name_hi, ' · ', m.name_en) AS name, toString(m.type) AS type,
        f.today AS today, f.value AS value, f.verified AS verified, f.last_day AS last_day
    FROM metrics AS m
    LEFT JOIN (
        SELECT
            metric, if(any(stock), argMax(amount, day), sumIfOrNull(amount, day = {DAY})) AS today,
            if(any(stock), argMax(amount, day), sum(amount)) AS value,
            if(any(stock), argMax(proved, day), sum(proved)) AS verified, max(day) AS last_day
        FROM (
            SELECT
                metric, day, value AS amount, verified_value AS proved,
                metric IN (SELECT metric FROM metrics WHERE type = 'stock') AS stock
            FROM rollups WHERE level = {LEVEL} AND unit = {UNIT} AND day <= {DAY}
        )
        GROUP BY metric
    ) AS f ON f.metric = m.metric
    ORDER BY m.position SETTINGS join_use_nulls = 1
"""

MOVED = f"""(
    SELECT unit FROM unit_ancestors
    WHERE ancestor = {UNIT} AND unit != ancestor
      AND (valid_from > toDate('1970-01-01') OR valid_to < toDate('2149-06-06'))
)"""
MOVES = f"""
    SELECT
        moved_on, direction, count() AS units, from_units, to_units, min(unit) AS first_unit,
        max(unit) AS last_unit
    FROM (
        SELECT
            s.unit AS unit, s.moved_on AS moved_on, s.direction AS direction,
            arrayStringConcat(
                arraySort(
                    groupUniqArrayIf(
                        concat(n.name_hi, ' · ', n.name_en),
                        s.moved_on - 1 BETWEEN o.valid_from AND o.valid_to
                    )
                ), ', '
            ) AS from_units,
            arrayStringConcat(
                arraySort(
                    groupUniqArrayIf(
                        concat(n.name_hi, ' · ', n.name_en),
                        s.moved_on BETWEEN o.valid_from AND o.valid_to
                    )
                ), ', '
            ) AS to_units
        FROM (
            SELECT unit, ancestor_level, valid_from AS moved_on, 'आई · in' AS direction
            FROM unit_ancestors
            WHERE ancestor = {UNIT} AND unit != ancestor AND valid_from > toDate('1970-01-01')
            UNION ALL
            SELECT unit, ancestor_level, valid_to + 1 AS moved_on, 'गई · out' AS direction
            FROM unit_ancestors
            WHERE ancestor = {UNIT} AND unit != ancestor AND valid_to < toDate('2149-06-06')
        ) AS s
        LEFT JOIN (SELECT * FROM unit_ancestors WHERE unit IN {MOVED}) AS o ON o.unit = s.unit
          AND o.ancestor_level = s.ancestor_level AND o.unit != o.ancestor
        LEFT JOIN (
            SELECT *
            FROM units
            WHERE unit IN (SELECT ancestor FROM unit_ancestors WHERE unit IN {MOVED})
        ) AS n ON n.unit = o.ancestor
        GROUP BY unit, moved_on, direction
    )
    GROUP BY moved_on, direction, from_units, to_units
    ORDER BY moved_on DESC, units DESC, direction
    LIMIT 200
"""

MEMBERS = f"""
    SELECT
        toDateTime(d.day, 'Asia/Kolkata') AS time, f.members_manual AS members_manual,
        f.members_digital AS members_digital, f.verified AS verified
    FROM {DAYS} AS d
    LEFT JOIN (
        SELECT
            day, sumIfOrNull(value, metric = 'members_manual') AS members_manual,
            sumIfOrNull(value, metric = 'members_digital') AS members_digital,
            sumOrNull(verified_value) AS verified
        FROM rollups
        WHERE level = {LEVEL} AND unit = {UNIT} AND metric IN ('members_manual', 'members_digital')
        GROUP BY day
    ) AS f ON f.day = d.day
    ORDER BY time SETTINGS join_use_nulls = 1
"""


def unit_panel(place: Place) -> object:
    """Build the table of the unit and its ancestors."""
    columns = [
        Column("name", "इकाई · unit"),
        Column("level", "स्तर · level", mapping=LEVELS, width=170),
        Column("above", "ऊपर · above"),
    ]
    return table_panel(
        "इकाई · unit",
        "नाम, स्तर, और उस दिन इसके ऊपर की इकाइयाँ। Name, level, and the units above it on the day.",
        NAME,
        place,
        columns,
    )


def booths_panel(place: Place) -> object:
    """Build the figures of open, active and silent booths."""
    return stat_panel(
        "बूथ · booths",
        f"उस दिन खुले बूथ; पिछले {SILENT_DAYS} दिनों में सक्रिय, केवल शून्य बताने वाले, और मौन।"
        " Booths open on the day; of these active, reporting nothing but zeros, and silent in the"
        f" last {SILENT_DAYS} days. The three add up.",
        BOOTHS,
        place,
        [
            Column("booths", "खुले · open", unit="locale"),
            Column("active", "✔ सक्रिय · active", unit="locale"),
            Column("zero", "0 शून्य · zero", unit="locale"),
            Column("silent", "✖ मौन · silent", unit="locale"),
        ],
    )


def silent_panel(place: Place) -> object:
    """Build the table of silent units."""
    return table_panel(
        "मौन और शून्य · silent, and reporting zero",
        f"{SILENT_DAYS} दिनों में कोई सूचना नहीं (मौन), या केवल शून्य। कभी सूचना न देने वाले पहले।"
        f" No report in {SILENT_DAYS} days (silent), or nothing but zeros, which is another thing."
        " Units that never reported come first.",
        SILENT,
        place,
        [
            Column("unit", "कोड · code", width=150, link=Link(EXPLAIN, "घटनाएँ · events")),
            Column("name", "नाम · name"),
            Column("state", "स्थिति · state", mapping=ACTIVITY_STATES, width=170),
            Column("last_report", "पिछली सूचना · last report", unit="time:DD-MM-YYYY", width=170),
            Column("days_since", "दिन · days since", unit="none", width=120),
        ],
    )


def rates_panel(place: Place) -> object:
    """Build the curves of completeness and timeliness of reports."""
    return timeseries_panel(
        "सूचना-दर · reporting rate",
        "उस दिन के लिए सूचना देने वाले खुले बूथों का हिस्सा, और उनका जिनकी सूचना अगले दिन के अंत तक"
        " आई। DHIS2 की तरह; 100 % से अधिक नहीं हो सकता। Share of open booths that reported for the"
        " day, and of those whose report came by the end of the next day: completeness and"
        " timeliness as DHIS2 has them.",
        RATES,
        place,
        unit="percentunit",
        columns=[
            Column("complete", "सूचना दी · reported", unit="percentunit"),
            Column("on_time", "समय पर · in time", unit="percentunit"),
        ],
    )


def figures_panel(place: Place) -> object:
    """Build the table of all figures."""
    return table_panel(
        "आँकड़े · figures",
        "आज (स्टॉक में: आज के अंत का स्तर), अब तक का योग, उसमें सत्यापित, और पिछला सूचित दिन। '—':"
        " कभी सूचना नहीं। Today (of a stock its level), to date, of that verified, and the last day"
        " reported. '—' was never reported; 0 was reported as zero.",
        FIGURES,
        place,
        [
            Column("metric", "code", hidden=True),
            Column(
                "name",
                "आँकड़ा · metric",
                width=300,
                link=Link(
                    EXPLAIN,
                    "इसके पीछे की घटनाएँ · the events behind it",
                    unit=None,
                    from_columns={"metric": "metric"},
                ),
            ),
            Column("type", "type", hidden=True),
            Column("today", "आज · today", unit="locale"),
            Column("value", "अब तक · to date", unit="locale"),
            Column("verified", "सत्यापित · verified", unit="locale"),
            Column("last_day", "पिछला दिन · last day", unit="time:DD-MM-YYYY"),
        ],
    )


def moves_panel(place: Place) -> object:
    """Build the table of units that moved in or out."""
    return table_panel(
        "सीमा-परिवर्तन · moves of units",
        "इस इकाई में आई और गई इकाइयाँ, दिन के साथ। किसी दिन का आँकड़ा उसी दिन की सीमाओं का है।"
        " Units that came into this one and left it, by day. A figure belongs to the boundaries of"
        " its own day.",
        MOVES,
        place,
        [
            Column("moved_on", "कब · when", unit="time:DD-MM-YYYY", width=120),
            Column("direction", "दिशा · direction", width=110),
            Column("units", "इकाइयाँ · units", unit="locale", width=100),
            Column("from_units", "कहाँ से · from"),
            Column("to_units", "कहाँ · to"),
            Column("first_unit", "पहली · first", width=150),
            Column("last_unit", "अंतिम · last", width=150),
        ],
    )


def members_panel(place: Place) -> object:
    """Build the curves of members enrolled by day."""
    return timeseries_panel(
        "दैनिक सदस्यता · members enrolled by day",
        "कागज़ और डिजिटल से बने सदस्य, जैसा बताया गया; उनमें सत्यापित। रिक्त: सूचना नहीं। On paper"
        " and digitally, as reported; of both, verified. A gap is a day without a report.",
        MEMBERS,
        place,
        unit="locale",
        columns=[
            Column("members_manual", "कागज़ी · paper", unit="locale"),
            Column("members_digital", "डिजिटल · digital", unit="locale"),
            Column("verified", "सत्यापित · verified", unit="locale", steps=((None, PLAIN),)),
        ],
        link=Link(EXPLAIN, "घटनाएँ · events", unit=None, fixed={"metric": "members_digital"}),
    )
