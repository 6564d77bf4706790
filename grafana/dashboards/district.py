"""District: milestones, assemblies as far as they lie in it, silent units, and moves."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import variables
from grafana.dashboards import subtree
from grafana.dashboards.base import ASSEMBLY, DISTRICT, PROGRAMME, add_panels, new_dashboard
from grafana.dashboards.programme import COMPACT_COLUMNS
from grafana.labels import ACT, GOOD, LOOK
from grafana.panels import Column, Link, map_panel, table_panel
from grafana.sql import ABOVE, BELOW, DAY, NAMED, PROGRESS, name

MILESTONES = f"""
    SELECT
        p.milestone AS milestone, concat(m.name_hi, ' · ', m.name_en) AS name,
        m.deadline AS deadline,
        p.expected AS expected, p.done_on_time AS done_on_time, p.done_late AS done_late,
        p.overdue AS overdue, p.due AS due, (p.done_on_time + p.done_late) / p.expected AS done
    FROM {PROGRESS} AS p
    INNER JOIN (SELECT * FROM milestones ORDER BY plan, position LIMIT 1 BY milestone) AS m
      ON m.milestone = p.milestone
    ORDER BY m.position
"""
MILESTONE_COLUMNS = [
    Column("milestone", "code", hidden=True),
    Column(
        "name",
        "लक्ष्य · milestone",
        width=360,
        link=Link(
            PROGRAMME,
            "किसने पूरा नहीं किया · who has not",
            unit=None,
            from_columns={"milestone": "milestone"},
        ),
    ),
    Column("deadline", "तिथि · by", unit="time:DD-MM-YYYY", width=105),
    *COMPACT_COLUMNS,
]

# booths by their own district: an assembly may lie in several
ASSEMBLIES = f"""
    SELECT
        u.unit AS unit, {name("u")} AS name, u.name_hi AS label, b.booths AS booths,
        b.elsewhere AS elsewhere, p.expected AS expected, p.done_on_time AS done_on_time,
        p.done_late AS done_late, p.overdue AS overdue, p.due AS due,
        (p.done_on_time + p.done_late) / p.expected AS done, u.latitude AS latitude,
        u.longitude AS longitude
    FROM (
        SELECT
            a.ancestor AS unit, countIf(a.unit IN {BELOW}) AS booths, count() - booths AS elsewhere
        FROM unit_ancestors AS a
        WHERE a.ancestor IN (SELECT ancestor FROM {ABOVE} WHERE level = 'assembly')
          AND a.unit != a.ancestor AND {DAY} BETWEEN a.valid_from AND a.valid_to
        GROUP BY unit HAVING booths > 0
    ) AS b
    INNER JOIN {NAMED} AS u ON u.unit = b.unit
    LEFT JOIN (
        SELECT
            a.ancestor AS unit, count() AS expected,
            countIf(s.state = 'done_on_time') AS done_on_time,
            countIf(s.state = 'done_late') AS done_late,
            countIf(s.state = 'overdue') AS overdue, countIf(s.state = 'due') AS due
        FROM board_status(as_of = $__toTime) AS s INNER JOIN {ABOVE} AS a ON a.unit = s.unit
        WHERE a.level = 'assembly' AND s.unit IN {BELOW} GROUP BY unit
    ) AS p ON p.unit = b.unit
    ORDER BY p.overdue / b.booths DESC NULLS LAST, unit SETTINGS join_use_nulls = 1
"""

OPEN = Link(ASSEMBLY, "विधानसभा खोलें · open the assembly")


def build() -> Dashboard:
    """Build the district dashboard."""
    dashboard = new_dashboard(
        DISTRICT,
        "ज़िला · District",
        "इस ज़िले में क्या पीछे है, कहाँ, और कौन मौन है? What is behind in this district, where, and"
        " who is silent?",
        refresh="5m",
    )
    dashboard = dashboard.with_variable(variables.clickhouse()).with_variable(
        variables.units("'district', 'division', 'state'", label="ज़िला · district")
    )
    done = Column(
        "done",
        "पूरा · done",
        unit="percentunit",
        decimals=0,
        steps=((None, ACT), (0.5, LOOK), (0.9, GOOD)),
    )
    where = "इस ज़िले के बूथ · booths here"
    return add_panels(
        dashboard,
        [
            subtree.unit_panel((0, 0, 12, 4)),
            subtree.booths_panel((12, 0, 12, 4)),
            table_panel(
                "लक्ष्य · milestones",
                "समय पर + देर से + बकाया + शेष = अपेक्षित: इस ज़िले में उस दिन खुली इकाइयाँ। On time"
                " + late + overdue + due = expected: the units of the milestone's level open in"
                " this district.",
                MILESTONES,
                (0, 4, 12, 10),
                MILESTONE_COLUMNS,
            ),
            subtree.rates_panel((12, 4, 12, 10)),
            table_panel(
                "विधानसभाएँ · assemblies",
                "केवल वे बूथ गिने गए हैं जो इस ज़िले में हैं; 'अन्य ज़िले' में उसी विधानसभा के बाक़ी"
                " बूथ। विधानसभा के अपने लक्ष्य भी इसमें हैं। Booths are counted by their own"
                " district: 'elsewhere' are booths of the same assembly in another district."
                " Milestones of the assembly itself are in the sums.",
                ASSEMBLIES,
                (0, 14, 14, 14),
                [
                    Column("unit", "code", hidden=True),
                    Column("name", "विधानसभा · assembly", width=220, link=OPEN),
                    Column("booths", where, unit="locale"),
                    Column("elsewhere", "अन्य ज़िले · elsewhere", unit="locale"),
                    *COMPACT_COLUMNS,
                    Column("label", "label", hidden=True),
                    Column("latitude", "lat", hidden=True),
                    Column("longitude", "lon", hidden=True),
                ],
            ),
            map_panel(
                "मानचित्र · map",
                "हर वृत्त एक विधानसभा के केंद्र पर; रंग: पूरे हुए लक्ष्यों का हिस्सा (संख्या संकेत"
                " में); आकार: इस ज़िले में बूथ। बाहर से कोई मानचित्र नहीं लिया जाता। A circle on the"
                " centre of each assembly: colour is the share done, with the number in the"
                " tooltip; size is its booths here. No map is fetched from outside.",
                ASSEMBLIES,
                (14, 14, 10, 14),
                columns=[
                    Column("unit", "कोड · code"),
                    Column("name", "विधानसभा · assembly", link=OPEN),
                    done,
                    Column("booths", where, unit="locale"),
                ],
                color="done",
                size="booths",
            ),
            subtree.silent_panel((0, 28, 12, 12)),
            subtree.figures_panel((12, 28, 12, 12)),
            subtree.members_panel((0, 40, 12, 10)),
            subtree.moves_panel((12, 40, 12, 10)),
        ],
    )
