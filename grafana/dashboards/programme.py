"""Programme: milestones by division, district and assembly, forecast, defaulters and calls."""

from dataclasses import replace

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import variables
from grafana.dashboards.base import (
    ASSEMBLY,
    DISTRICT,
    EXPLAIN,
    PROGRAMME,
    add_panels,
    new_dashboard,
)
from grafana.labels import ACT, GOOD, LOOK, OUTLOOKS, PLAIN
from grafana.panels import Column, Link, table_panel, timeseries_panel
from grafana.sql import (
    ABOVE,
    BELOW,
    DAYS,
    DAYS_LEFT,
    FIRST,
    NAMED,
    PROGRESS,
    UNIT,
    name,
    progress_within,
)

CHOSEN = "milestone IN (${milestone:singlequote})"

MILESTONES = f"""
    SELECT
        p.milestone AS milestone, concat(m.name_hi, ' · ', m.name_en) AS name,
        m.deadline AS deadline, {DAYS_LEFT} AS days_left,
        p.expected AS expected, p.done_on_time AS done_on_time, p.done_late AS done_late,
        p.known_late AS known_late, p.overdue AS overdue, p.due AS due,
        (p.done_on_time + p.done_late) / p.expected AS done, toString(f.outlook) AS outlook,
        f.reached_at AS reached_at,
        if(
            isNull(f.earliest), NULL,
            concat(
                formatDateTime(f.earliest, '%d-%m'), ' … ',
                ifNull(formatDateTime(f.latest, '%d-%m-%Y'), '?')
            )
        ) AS band
    FROM {PROGRESS} AS p
    INNER JOIN (SELECT * FROM milestones ORDER BY plan, position LIMIT 1 BY milestone) AS m
      ON m.milestone = p.milestone
    LEFT JOIN (
        SELECT * FROM board_forecast(as_of = $__toTime, share = 0.8) WHERE unit = {UNIT}
    ) AS f ON f.milestone = p.milestone
    WHERE p.{CHOSEN} ORDER BY m.position SETTINGS join_use_nulls = 1
"""


def below(level: str, limit: int) -> str:
    """Query for progress of the units of a level below the chosen one, the most overdue first."""
    return f"""
        SELECT
            u.unit AS unit, {name("u")} AS name, p.expected AS expected,
            p.done_on_time AS done_on_time, p.done_late AS done_late, p.overdue AS overdue,
            p.due AS due, (p.done_on_time + p.done_late) / p.expected AS done,
            if(p.overdue = 0, NULL, concat(m.name_hi, ' · ', m.name_en)) AS worst
        FROM (
            SELECT
                unit, sum(g.expected) AS expected, sum(g.done_on_time) AS done_on_time,
                sum(g.done_late) AS done_late, sum(g.overdue) AS overdue, sum(g.due) AS due,
                argMax(g.milestone, (g.overdue, g.milestone)) AS worst_milestone
            FROM {progress_within(f"'{level}'")} AS g WHERE g.{CHOSEN} GROUP BY unit
        ) AS p
        INNER JOIN (SELECT * FROM units WHERE level = '{level}' AND unit IN {BELOW}) AS u
          ON u.unit = p.unit
        INNER JOIN (SELECT * FROM milestones ORDER BY plan, position LIMIT 1 BY milestone) AS m
          ON m.milestone = p.worst_milestone
        ORDER BY p.overdue / p.expected DESC, done, unit LIMIT {limit}
    """


DIVISIONS, DISTRICTS, ASSEMBLIES = (
    below("division", 20),
    below("district", 60),
    below("assembly", 100),
)

PACE = f"""
    SELECT
        toDateTime(day, 'Asia/Kolkata') AS time, name,
        sum(reached) OVER (PARTITION BY milestone ORDER BY day) / expected AS done
    FROM (
        SELECT
            d.day AS day, p.milestone AS milestone, p.name AS name, p.expected AS expected,
            r.reached AS reached
        FROM {DAYS} AS d
        CROSS JOIN (
            SELECT
                p.milestone AS milestone, concat(m.name_hi, ' · ', m.name_en) AS name,
                p.expected AS expected
            FROM {PROGRESS} AS p
            INNER JOIN (SELECT * FROM milestones ORDER BY plan, position LIMIT 1 BY milestone) AS m
              ON m.milestone = p.milestone
            WHERE p.{CHOSEN}
        ) AS p
        LEFT JOIN (
            SELECT greatest(assumeNotNull(done_at), {FIRST}) AS day, milestone, count() AS reached
            FROM board_status(as_of = $__toTime)
            WHERE unit IN {BELOW} AND {CHOSEN} AND done_at IS NOT NULL
            GROUP BY day, milestone
        ) AS r ON r.day = d.day AND r.milestone = p.milestone
    )
    ORDER BY time, name
"""

DEFAULTERS = f"""
    SELECT
        d.unit AS unit, {name("u")} AS name, concat(m.name_hi, ' · ', m.name_en) AS milestone,
        d.deadline AS deadline, d.days_overdue AS days_overdue,
        d.blocks AS blocks, m.responsible_hi AS office, {name("o")} AS where,
        nullIf(c.name, '') AS person, nullIf(c.phone, '') AS phone
    FROM (
        SELECT
            unit, milestone, plan, deadline, days_overdue, ifNull(blocks, 0) AS blocks, responsible
        FROM board_defaulters(as_of = $__toTime)
        WHERE unit IN {BELOW} AND {CHOSEN} ORDER BY blocks DESC, days_overdue DESC, unit LIMIT 500
    ) AS d
    INNER JOIN milestones AS m ON m.plan = d.plan AND m.milestone = d.milestone
    INNER JOIN (SELECT * FROM units WHERE unit IN {BELOW}) AS u ON u.unit = d.unit
    LEFT JOIN {ABOVE} AS a ON a.unit = d.unit AND a.level = splitByChar(' ', d.responsible)[1]
    LEFT JOIN {NAMED} AS o ON o.unit = a.ancestor
    LEFT JOIN contacts AS c ON c.unit = a.ancestor
      AND c.role = substring(d.responsible, position(d.responsible, ' ') + 1)
    ORDER BY d.blocks DESC, d.days_overdue DESC, d.unit SETTINGS join_use_nulls = 1
"""

LOADS = """
    SELECT loaded_at, milestone, concat(name_hi, ' · ', name_en) AS name, deadline,
           lagInFrame(toNullable(deadline)) OVER (
               PARTITION BY plan, milestone
               ORDER BY loaded_at ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
           ) AS before,
           author, reason
    FROM plans
    WHERE milestone IN (${milestone:singlequote})
    ORDER BY loaded_at DESC, position
    LIMIT 100
"""

PROGRESS_COLUMNS = (
    Column("expected", "अपेक्षित · expected", unit="locale", width=135),
    Column("done_on_time", "✔ समय पर · on time", unit="locale", width=145),
    Column("done_late", "◐ देर से · late", unit="locale", width=110),
    Column(
        "overdue", "✖ बकाया · overdue", unit="locale", width=140, steps=((None, PLAIN), (1, ACT))
    ),
    Column("due", "○ शेष · due", unit="locale", width=95),
    Column(
        "done",
        "पूरा · done",
        unit="percentunit",
        decimals=1,
        gauge=True,
        steps=((None, ACT), (0.5, LOOK), (0.9, GOOD)),
        width=150,
    ),
)
# For a panel of half the width.
COMPACT_COLUMNS = tuple(
    replace(column, hidden=column.name in {"expected", "done_on_time", "done_late"})
    for column in PROGRESS_COLUMNS
)
WORST_COLUMN = Column("worst", "सबसे पीछे · furthest behind")
PERSON_COLUMNS = (Column("person", "नाम · name"), Column("phone", "फ़ोन · phone"))

FOUR_HI = "समय पर + देर से + बकाया + शेष = अपेक्षित। अपेक्षित: उस दिन खुली, लक्ष्य के स्तर की हर इकाई।"
FOUR_EN = (
    "On time + late + overdue + due = expected: every unit of the milestone's level that is open on"
    " the day. As known now, up to one minute old."
)


def _milestones_and_forecast_panel() -> object:
    return table_panel(
        "लक्ष्य और पूर्वानुमान · milestones and forecast",
        f"{FOUR_HI} पूर्वानुमान: पिछले सप्ताह की गति से 80 % इकाइयाँ कब पूरी करेंगी, और पाँच में से"
        " चार बार यह किस अवधि में होता है। 'देर से ज्ञात': समय पर पूरे, पर तिथि के बाद बताए गए।"
        f" {FOUR_EN} Forecast: when four fifths of the units will have it at the pace of the last"
        " week, and the days between which that falls four times in five. 'Known late': done on"
        " time, reported after the deadline.",
        MILESTONES,
        (0, 0, 24, 11),
        [
            Column("milestone", "code", hidden=True),
            Column("name", "लक्ष्य · milestone", width=265),
            Column("deadline", "तिथि · by", unit="time:DD-MM-YYYY", width=105),
            Column("days_left", "दिन · days", unit="none", width=85),
            *PROGRESS_COLUMNS[:3],
            Column("known_late", "देर से ज्ञात · known late", unit="locale", width=175),
            *PROGRESS_COLUMNS[3:],
            Column("outlook", "पूर्वानुमान · outlook", mapping=OUTLOOKS, width=200),
            Column("reached_at", "80 % कब · when", unit="time:DD-MM-YYYY", width=125),
            Column("band", "कब के बीच · between", width=165),
        ],
    )


def _done_over_time_panel() -> object:
    return timeseries_panel(
        "समय के साथ पूरा · done over time",
        "चुने लक्ष्यों को पूरा कर चुकी इकाइयों का हिस्सा, आज की अपेक्षित इकाइयों में, जैसा"
        " आज ज्ञात है। Share of the units expected today that had the milestone by each"
        " day, as known now.",
        PACE,
        (0, 11, 14, 10),
        unit="percentunit",
    )


def _divisions_panel() -> object:
    return table_panel(
        "संभाग · divisions",
        f"चुने लक्ष्यों का योग। {FOUR_HI} Sum over the chosen milestones. {FOUR_EN}",
        DIVISIONS,
        (14, 11, 10, 10),
        [
            Column("unit", "code", hidden=True),
            Column(
                "name",
                "संभाग · division",
                width=150,
                link=Link(PROGRAMME, "इसका कार्यक्रम · its programme"),
            ),
            *COMPACT_COLUMNS,
            WORST_COLUMN,
        ],
    )


def _districts_panel() -> object:
    return table_panel(
        "ज़िले · districts",
        f"चुने लक्ष्यों का योग, सबसे अधिक बकाया पहले। {FOUR_HI} Sum over the chosen milestones, most"
        f" overdue first. {FOUR_EN}",
        DISTRICTS,
        (0, 21, 12, 14),
        [
            Column("unit", "code", hidden=True),
            Column(
                "name",
                "ज़िला · district",
                width=200,
                link=Link(DISTRICT, "ज़िला खोलें · open the district"),
            ),
            *COMPACT_COLUMNS,
            WORST_COLUMN,
        ],
    )


def _assemblies_panel() -> object:
    return table_panel(
        "विधानसभाएँ · assemblies",
        f"चुने लक्ष्यों का योग, सबसे अधिक बकाया पहले, सौ तक। {FOUR_HI} Sum over the chosen milestones,"
        f" most overdue first, up to a hundred. {FOUR_EN}",
        ASSEMBLIES,
        (12, 21, 12, 14),
        [
            Column("unit", "code", hidden=True),
            Column(
                "name",
                "विधानसभा · assembly",
                width=220,
                link=Link(ASSEMBLY, "विधानसभा खोलें · open the assembly"),
            ),
            *COMPACT_COLUMNS,
            WORST_COLUMN,
        ],
    )


def _overdue_panel() -> object:
    return table_panel(
        "बकाया: किसे फ़ोन करें · overdue: whom to call",
        "चुने लक्ष्यों में बकाया इकाइयाँ, जिन पर सबसे अधिक रुका है वे पहले, 500 तक। नाम और"
        " नंबर संपर्क सूची से, केवल उन खातों को जो देख सकते हैं। Units overdue with the"
        " chosen milestones, those first that most waits for, up to 500. Names and numbers"
        " come from the contacts, for accounts that may read them.",
        DEFAULTERS,
        (0, 35, 24, 14),
        [
            Column(
                "unit",
                "इकाई · unit",
                width=150,
                link=Link(EXPLAIN, "इसकी घटनाएँ · its events"),
            ),
            Column("name", "नाम · name"),
            Column("milestone", "लक्ष्य · milestone"),
            Column("deadline", "तिथि · by", unit="time:DD-MM-YYYY", width=110),
            Column(
                "days_overdue",
                "दिन · days",
                unit="none",
                width=100,
                steps=((None, LOOK), (15, ACT)),
            ),
            Column("blocks", "रुके · blocks", unit="locale", width=110),
            Column("office", "पद · office"),
            Column("where", "कहाँ · where"),
            *PERSON_COLUMNS,
        ],
    )


def _changes_of_the_plan_panel() -> object:
    return table_panel(
        "योजना के परिवर्तन · changes of the plan",
        "हर बार योजना लोड होने पर लक्ष्य की तिथि, पहले की तिथि, किसने और क्यों। Each load"
        " of a plan: the deadline, the one before, who loaded it and why.",
        LOADS,
        (0, 49, 24, 8),
        [
            Column("loaded_at", "कब · when", unit="dateTimeAsIso", width=180),
            Column("milestone", "code", hidden=True),
            Column("name", "लक्ष्य · milestone"),
            Column("deadline", "अंतिम तिथि · deadline", unit="time:DD-MM-YYYY"),
            Column("before", "पहले · before", unit="time:DD-MM-YYYY"),
            Column("author", "किसने · by"),
            Column("reason", "क्यों · why"),
        ],
    )


def build() -> Dashboard:
    """Build the programme dashboard."""
    dashboard = new_dashboard(
        PROGRAMME,
        "कार्यक्रम · Programme",
        "कौन-सा लक्ष्य किस इकाई में पीछे है, कब पूरा होगा, किसे फ़ोन करें? Which milestone is"
        " behind where, when will it be met, whom to call?",
        days=90,
        refresh="5m",
    )
    dashboard = dashboard.with_variable(variables.clickhouse()).with_variable(
        variables.units("'national', 'state', 'division', 'district', 'assembly'")
    )
    return add_panels(
        dashboard.with_variable(variables.milestones()),
        [
            _milestones_and_forecast_panel(),
            _done_over_time_panel(),
            _divisions_panel(),
            _districts_panel(),
            _assemblies_panel(),
            _overdue_panel(),
            _changes_of_the_plan_panel(),
        ],
    )
