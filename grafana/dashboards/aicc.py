"""AICC: all states compared, per booth and in per cent.

From a national deployment, or from the copy that `pravah pull` keeps.
"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import variables
from grafana.dashboards.base import ACTIVITY, AICC, AICC_COPY, PROGRAMME, add_panels, new_dashboard
from grafana.labels import ACT, GOOD, LOOK, PLAIN
from grafana.panels import Column, Link, table_panel, timeseries_panel
from grafana.sql import DAY, DAYS, FIRST

STATES = f"""
    SELECT
        u.unit AS unit, concat(u.name_hi, ' · ', u.name_en) AS name, b.booths AS booths,
        p.done AS done, p.overdue AS overdue, p.known_late AS known_late,
        f.members / b.booths * 100 AS members, f.reach / b.booths * 100 AS reach,
        f.verified / nullIf(f.members, 0) AS verified, c.reporting AS reporting,
        f.last_day AS last_day,
        {DAY} - f.last_day AS age
    FROM units AS u
    LEFT JOIN (
        SELECT splitByChar('-', unit)[1] AS unit, count() AS booths
        FROM units
        WHERE level = 'booth' AND {DAY} BETWEEN valid_from AND valid_to
        GROUP BY unit
    ) AS b ON b.unit = u.unit
    LEFT JOIN (
        SELECT
            g.unit AS unit, sum(g.done_on_time + g.done_late) / sum(g.expected) AS done,
            sum(g.overdue) / sum(g.expected) AS overdue,
            sum(g.known_late) / nullIf(sum(g.done_on_time), 0) AS known_late
        FROM board_progress(as_of = $__toTime) AS g WHERE g.level = 'state' GROUP BY unit
    ) AS p ON p.unit = u.unit
    LEFT JOIN (
        SELECT
            unit, sumIfOrNull(value, startsWith(metric, 'members_') AND day >= {FIRST}) AS members,
            sumIfOrNull(value, startsWith(metric, 'reach_') AND day >= {FIRST}) AS reach,
            sumIfOrNull(
                verified_value, startsWith(metric, 'members_') AND day >= {FIRST}
            ) AS verified, max(day) AS last_day
        FROM rollups WHERE level = 'state' AND day <= {DAY} GROUP BY unit
    ) AS f ON f.unit = u.unit
    LEFT JOIN (
        SELECT state, avg(reported) AS reporting FROM (
            SELECT
                splitByChar('-', j.unit)[1] AS state, j.day AS day,
                uniqExact(j.unit) / any(n.booths) AS reported
            FROM (
                SELECT DISTINCT unit, day
                FROM journal FINAL
                WHERE level = 'booth' AND day BETWEEN {DAY} - 6 AND {DAY} AND reports > 0
            ) AS j
            INNER JOIN (
                SELECT splitByChar('-', unit)[1] AS state, count() AS booths
                FROM units
                WHERE level = 'booth' AND {DAY} BETWEEN valid_from AND valid_to
                GROUP BY state
            ) AS n
                ON n.state = splitByChar('-', j.unit)[1]
            GROUP BY state, day
        ) GROUP BY state
    ) AS c ON c.state = u.unit
    WHERE u.level = 'state' AND {DAY} BETWEEN u.valid_from AND u.valid_to
    ORDER BY p.done DESC NULLS LAST, f.members DESC NULLS LAST, name SETTINGS join_use_nulls = 1
"""


def members_by_state(table: str, where: str) -> str:
    """Query for members enrolled by day and state, from a copy or from the figures."""
    return f"""
        SELECT toDateTime(d.day, 'Asia/Kolkata') AS time, s.unit AS name, f.members AS members
        FROM {DAYS} AS d
        CROSS JOIN (
            SELECT DISTINCT unit
            FROM {table}
            WHERE level = 'state' AND day BETWEEN {FIRST} AND {DAY}{where}
        ) AS s
        LEFT JOIN (
            SELECT unit, day, sum(value) AS members
            FROM {table}
            WHERE level = 'state' AND startsWith(metric, 'members_')
              AND day BETWEEN {FIRST} AND {DAY}{where}
            GROUP BY unit, day
        ) AS f ON f.unit = s.unit AND f.day = d.day
        ORDER BY time, name SETTINGS join_use_nulls = 1
    """


MEMBERS = members_by_state("rollups", "")

PLAN = """
    SELECT
        p.unit AS unit, concat(u.name_hi, ' · ', u.name_en) AS name,
        concat(m.name_hi, ' · ', m.name_en) AS milestone, m.deadline AS deadline,
        p.expected AS expected, (p.done_on_time + p.done_late) / p.expected AS done,
        p.done_on_time / p.expected AS on_time, p.overdue / p.expected AS overdue
    FROM board_progress(as_of = $__toTime) AS p
    INNER JOIN units AS u ON u.unit = p.unit
    INNER JOIN milestones AS m ON m.milestone = p.milestone AND m.plan = p.unit
    WHERE p.level = 'state' AND p.milestone IN (${milestone:singlequote})
    ORDER BY m.position, done DESC, name
"""

COPIES = f"""
    SELECT
        source, unit,
        sumIfOrNull(value, startsWith(metric, 'members_') AND day >= {FIRST}) AS members,
        sumIfOrNull(
            verified_value, startsWith(metric, 'members_') AND day >= {FIRST}
        ) / nullIf(members, 0) AS verified,
        sumIfOrNull(value, startsWith(metric, 'reach_') AND day >= {FIRST}) AS reach,
        sumIfOrNull(value, startsWith(metric, 'posts_') AND day >= {FIRST}) AS posts,
        max(day) AS last_day, {DAY} - last_day AS age,
        uniqExactIf(day, day >= {FIRST}) / ({DAY} - {FIRST} + 1) AS days
    FROM pulled_rollups FINAL
    WHERE level = 'state' AND day <= {DAY}
    GROUP BY source, unit
    ORDER BY members DESC NULLS LAST, source, unit
"""

COPIED_MEMBERS = members_by_state("pulled_rollups FINAL", "")


def _states_side_by_side_panel() -> object:
    return table_panel(
        "प्रदेश साथ-साथ, प्रति 100 बूथ · states side by side, per 100 booths",
        "सब तुलनीय: प्रति 100 बूथ या प्रतिशत। 'देर से ज्ञात': समय पर पूरे, पर तिथि के बाद"
        " बताए गए। 'सूचना': पिछले सात दिनों में प्रतिदिन सूचना देने वाले बूथों का औसत"
        " हिस्सा। 'आयु': पिछले सूचित दिन के बाद के दिन। All normalised: per 100 booths or"
        " per cent. 'Known late': done on time but reported after the deadline."
        " 'Reporting': mean share of booths that reported for each of the last seven days"
        " on which any did. 'Verified' is a share of members. 'Age': days since the last"
        " day reported. '—': the state reports nothing here.",
        STATES,
        (0, 0, 24, 18),
        [
            Column("unit", "कोड · code", width=80),
            Column(
                "name",
                "प्रदेश · state",
                width=230,
                link=Link(PROGRAMME, "इसका कार्यक्रम · its programme"),
            ),
            Column("booths", "बूथ · booths", unit="locale"),
            Column(
                "done",
                "पूरा · done",
                unit="percentunit",
                decimals=1,
                gauge=True,
                steps=((None, ACT), (0.5, LOOK), (0.9, GOOD)),
                width=150,
            ),
            Column("overdue", "✖ बकाया · overdue", unit="percentunit", decimals=1),
            Column("known_late", "देर से ज्ञात · known late", unit="percentunit", decimals=1),
            Column(
                "members",
                "सदस्य · members",
                unit="locale",
                decimals=1,
                link=Link(ACTIVITY, "गतिविधि · activity"),
            ),
            Column("reach", "पहुँच · reach", unit="locale", decimals=0),
            Column("verified", "सत्यापित · verified", unit="percentunit", decimals=1),
            Column("reporting", "सूचना · reporting", unit="percentunit", decimals=1),
            Column("last_day", "पिछला दिन · last day", unit="time:DD-MM-YYYY"),
            Column(
                "age",
                "आयु, दिन · age, days",
                unit="none",
                steps=((None, GOOD), (2, LOOK), (7, ACT)),
            ),
        ],
    )


def _milestones_by_state_panel() -> object:
    return table_panel(
        "लक्ष्य, प्रदेश-वार · milestones by state",
        "अपेक्षित इकाइयों में पूरे, समय पर और बकाया का हिस्सा। Shares of the units"
        " expected: done, on time, overdue. Each state by its own plan.",
        PLAN,
        (0, 18, 14, 12),
        [
            Column("unit", "कोड · code", width=80),
            Column(
                "name",
                "प्रदेश · state",
                link=Link(PROGRAMME, "इसका कार्यक्रम · its programme"),
            ),
            Column("milestone", "लक्ष्य · milestone", width=230),
            Column("deadline", "तिथि · by", unit="time:DD-MM-YYYY", width=110),
            Column("expected", "अपेक्षित · expected", unit="locale", width=135),
            Column("done", "पूरा · done", unit="percentunit", decimals=1, width=100),
            Column("on_time", "✔ समय पर · on time", unit="percentunit", decimals=1),
            Column(
                "overdue",
                "✖ बकाया · overdue",
                unit="percentunit",
                decimals=1,
                steps=((None, PLAIN), (0.1, LOOK), (0.3, ACT)),
            ),
        ],
    )


def build() -> Dashboard:
    """Build the dashboard on a national deployment."""
    dashboard = new_dashboard(
        AICC,
        "एआईसीसी: सब प्रदेश · AICC: all states",
        "कौन-सा प्रदेश कहाँ है, और उसके आँकड़ों पर कितना भरोसा? Where does each state stand, and"
        " how far can its figures be trusted?",
        refresh="5m",
    )
    return add_panels(
        dashboard.with_variable(variables.clickhouse()).with_variable(variables.milestones()),
        [
            _states_side_by_side_panel(),
            _milestones_by_state_panel(),
            timeseries_panel(
                "प्रतिदिन सदस्य · members by day",
                "हर प्रदेश में कागज़ और डिजिटल से बने सदस्य। रिक्त: सूचना नहीं। Members enrolled on"
                " paper and digitally, a line a state. A gap is a day without a report.",
                MEMBERS,
                (14, 18, 10, 12),
                unit="locale",
            ),
        ],
    )


def build_copy() -> Dashboard:
    """Build the dashboard on headquarters' copy."""
    dashboard = new_dashboard(
        AICC_COPY,
        "एआईसीसी: खींची गई प्रति · AICC: pulled copies",
        "`pravah pull` की प्रति में हर प्रदेश के आँकड़े। Each state's figures in the copy that"
        " `pravah pull` keeps in ClickHouse; the data source's default database is the copy's.",
        refresh="15m",
    )
    return add_panels(
        dashboard.with_variable(variables.clickhouse()),
        [
            table_panel(
                "प्रदेश साथ-साथ · states side by side",
                "चुनी अवधि का योग, जैसा प्रदेश ने दिया; 'दिन': अवधि के कितने दिनों की सूचना है;"
                " 'आयु': पिछले सूचित दिन के बाद के दिन। Sums of the range as each state serves"
                " them; 'days' is the share of days with any report; 'age' the days since the last"
                " one. '—' was not reported.",
                COPIES,
                (0, 0, 14, 18),
                [
                    Column("source", "स्रोत · source", width=120),
                    Column("unit", "प्रदेश · state", width=110),
                    Column("members", "सदस्य · members", unit="locale"),
                    Column("verified", "सत्यापित · verified", unit="percentunit", decimals=1),
                    Column("reach", "पहुँच · reach", unit="locale"),
                    Column("posts", "पोस्ट · posts", unit="locale"),
                    Column("last_day", "पिछला दिन · last day", unit="time:DD-MM-YYYY"),
                    Column(
                        "age",
                        "आयु, दिन · age, days",
                        unit="none",
                        steps=((None, GOOD), (2, LOOK), (7, ACT)),
                    ),
                    Column("days", "दिन · days", unit="percentunit", decimals=0),
                ],
            ),
            timeseries_panel(
                "प्रतिदिन सदस्य · members by day",
                "हर प्रदेश में बने सदस्य, प्रति से। Members enrolled by day, a line a state, from"
                " the copy. A gap is a day without a report.",
                COPIED_MEMBERS,
                (14, 0, 10, 18),
                unit="locale",
            ),
        ],
    )
