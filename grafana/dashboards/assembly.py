"""Assembly constituency: each booth with its district, milestones and reports."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import variables
from grafana.dashboards import subtree
from grafana.dashboards.base import ASSEMBLY, DISTRICT, EXPLAIN, add_panels, new_dashboard
from grafana.dashboards.district import MILESTONE_COLUMNS, MILESTONES
from grafana.labels import ACT, PLAIN
from grafana.panels import Column, Link, table_panel
from grafana.sql import ABOVE, BELOW, DAY, NAMED, name

BOOTHS = f"""
    SELECT
        u.unit AS unit, {name("u")} AS name, d.ancestor AS district, {name("n")} AS district_name,
        p.done AS done, p.expected AS expected, p.overdue AS overdue,
        p.missing AS missing, r.members AS members, l.last_report AS last_report,
        {DAY} - l.last_report AS days_since
    FROM (
        SELECT *
        FROM units
        WHERE level = 'booth' AND {DAY} BETWEEN valid_from AND valid_to AND unit IN {BELOW}
    ) AS u
    LEFT JOIN (SELECT unit, ancestor FROM {ABOVE} WHERE level = 'district') AS d ON d.unit = u.unit
    LEFT JOIN {NAMED} AS n ON n.unit = d.ancestor
    LEFT JOIN (
        SELECT
            s.unit AS unit, countIf(s.state IN ('done_on_time', 'done_late')) AS done,
            count() AS expected, countIf(s.state = 'overdue') AS overdue,
            arrayStringConcat(groupArrayIf(m.name_hi, s.state = 'overdue'), ', ') AS missing
        FROM board_status(as_of = $__toTime) AS s
        INNER JOIN milestones AS m ON m.plan = s.plan AND m.milestone = s.milestone
        WHERE s.level = 'booth' AND s.unit IN {BELOW}
        GROUP BY unit
    ) AS p ON p.unit = u.unit
    LEFT JOIN (
        SELECT unit, sum(value) AS members
        FROM totals
        WHERE level = 'booth' AND metric IN ('members_manual', 'members_digital')
          AND unit IN {BELOW}
        GROUP BY unit
    ) AS r ON r.unit = u.unit
    LEFT JOIN (
        SELECT unit, max(day) AS last_report
        FROM journal FINAL
        WHERE level = 'booth' AND day <= {DAY} AND reports > 0 AND unit IN {BELOW}
        GROUP BY unit
    ) AS l ON l.unit = u.unit
    ORDER BY p.overdue DESC, days_since DESC NULLS FIRST, unit SETTINGS join_use_nulls = 1
"""

SPREAD = f"""
    SELECT d.ancestor AS unit, {name("n")} AS name, count() AS booths
    FROM {ABOVE} AS d INNER JOIN {NAMED} AS n ON n.unit = d.ancestor
    WHERE d.level = 'district'
      AND d.unit IN (SELECT unit FROM units WHERE level = 'booth' AND unit IN {BELOW})
    GROUP BY unit, name ORDER BY booths DESC, unit
"""


def _in_which_districts_panel() -> object:
    return table_panel(
        "किन ज़िलों में · in which districts",
        "विधानसभा के खुले बूथ, अपने-अपने ज़िले में। Open booths of the assembly, by the"
        " district in which each lies.",
        SPREAD,
        (17, 0, 7, 5),
        [
            Column("unit", "code", hidden=True),
            Column(
                "name",
                "ज़िला · district",
                link=Link(DISTRICT, "ज़िला खोलें · open the district"),
            ),
            Column("booths", "बूथ · booths", unit="locale", width=110),
        ],
    )


def _booths_panel() -> object:
    return table_panel(
        "बूथ · booths",
        "हर खुला बूथ: पूरे और अपेक्षित लक्ष्य, बकाया लक्ष्य, अब तक बने सदस्य (चुनी अवधि से"
        " स्वतंत्र), पिछली सूचना। '—': कभी सूचना नहीं। Each open booth: milestones done and"
        " expected, which are overdue, members to date (whatever the time range), last"
        " report. '—' was never reported.",
        BOOTHS,
        (0, 13, 24, 16),
        [
            Column("unit", "कोड · code", width=160, link=Link(EXPLAIN, "घटनाएँ · events")),
            Column("name", "बूथ · booth"),
            Column("district", "code", hidden=True),
            Column(
                "district_name",
                "ज़िला · district",
                link=Link(DISTRICT, "ज़िला खोलें · open the district", unit="district"),
            ),
            Column("done", "पूरे · done", unit="none", width=100),
            Column("expected", "अपेक्षित · expected", unit="none", width=130),
            Column(
                "overdue",
                "✖ बकाया · overdue",
                unit="none",
                width=140,
                steps=((None, PLAIN), (1, ACT)),
            ),
            Column("missing", "क्या बकाया · what"),
            Column(
                "members",
                "सदस्य · members",
                unit="locale",
                width=140,
                link=Link(EXPLAIN, "घटनाएँ · events", fixed={"metric": "members_digital"}),
            ),
            Column(
                "last_report",
                "पिछली सूचना · last report",
                unit="time:DD-MM-YYYY",
                width=180,
            ),
            Column(
                "days_since",
                "दिन · days",
                unit="none",
                width=100,
                steps=((None, PLAIN), (14, ACT)),
            ),
        ],
    )


def build() -> Dashboard:
    """Build the assembly dashboard."""
    dashboard = new_dashboard(
        ASSEMBLY,
        "विधानसभा · Assembly",
        "कौन-सा बूथ पीछे या मौन है, और किस ज़िले में है? Which booth is behind or silent, and in"
        " which district does it lie?",
        refresh="5m",
    )
    return add_panels(
        dashboard.with_variable(variables.clickhouse()).with_variable(variables.assemblies()),
        [
            subtree.unit_panel((0, 0, 9, 5)),
            subtree.booths_panel((9, 0, 8, 5)),
            _in_which_districts_panel(),
            table_panel(
                "लक्ष्य · milestones",
                "समय पर + देर से + बकाया + शेष = अपेक्षित: विधानसभा और इसके खुले बूथ। On time +"
                " late + overdue + due = expected: the assembly itself and its open booths.",
                MILESTONES,
                (0, 5, 12, 8),
                MILESTONE_COLUMNS,
            ),
            subtree.rates_panel((12, 5, 12, 8)),
            _booths_panel(),
            subtree.figures_panel((0, 29, 12, 12)),
            subtree.members_panel((12, 29, 12, 12)),
            subtree.moves_panel((0, 41, 24, 8)),
        ],
    )
