"""State control room: one screen of 1920 by 1080 without scrolling.

Each figure links to the dashboard with its details.
"""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import variables
from grafana.dashboards.base import (
    DISTRICT,
    EXPLAIN,
    PIPELINE,
    PROGRAMME,
    WALL,
    add_panels,
    new_dashboard,
)
from grafana.labels import ACT, GOOD, LIGHT, LOOK, PLAIN
from grafana.panels import Column, Link, stat_panel, table_panel, timeseries_panel
from grafana.sql import (
    ABOVE,
    BELOW,
    DAY,
    DAYS,
    DAYS_LEFT,
    DEADLINE_RANGE,
    LEVEL,
    NAMED,
    NEXT_LEVEL,
    PROGRESS,
    UNIT,
    USUAL_DAYS,
    name,
    progress_within,
    within,
)

MEMBERS = "'members_manual', 'members_digital'"
REACH = "'reach_facebook', 'reach_twitter', 'reach_whatsapp'"

AGE = (
    "SELECT dateDiff('second', max(last_appended_at), now64(3)) AS age FROM chunks HAVING"
    " count() > 0"
)

PIPELINE_LIGHT = """
    SELECT greatest(
        -- from 8 to 22 o'clock, an hour without a record needs a look, three hours are a
        -- standstill
        if(
            toHour(now(), 'Asia/Kolkata') BETWEEN 8 AND 21,
            multiIf(age > 10800, 2, age > 3600, 1, 0), 0
        ),
        multiIf(different > 0, 2, 0),
        multiIf(rejected > 0.05 * records, 2, rejected > 0.02 * records, 1, 0)
    ) AS light
    FROM (
        SELECT dateDiff('second', max(last_appended_at), now64(3)) AS age,
               sumIf(records, last_appended_at > now64(3) - INTERVAL 1 DAY) AS records,
               sumIf(rejected, last_appended_at > now64(3) - INTERVAL 1 DAY) AS rejected
        FROM chunks FINAL HAVING count() > 0
    ) AS c
    CROSS JOIN (
        SELECT if(argMax(repair, at) = 0, argMax(different, at), 0) AS different
        FROM reconciliations
    ) AS r
"""

REPORTED = f"""
    SELECT if(expected = 0, NULL, reported / expected) AS share, reported, expected
    FROM (
        SELECT uniqExact(j.unit) AS reported FROM (
            SELECT unit
            FROM journal FINAL
            WHERE level = 'booth' AND day = {DAY} AND reports > 0 AND unit IN {BELOW}
        ) AS j
    ) AS r
    CROSS JOIN (
        SELECT count() AS expected
        FROM units
        WHERE level = 'booth' AND {DAY} BETWEEN valid_from AND valid_to AND unit IN {BELOW}
    ) AS e
"""


def against_usual(metrics: str) -> str:
    """Query for today's amount of flows, the usual one, and their ratio; NULL if not reported."""
    return f"""
        SELECT
            sumIfOrNull(amount, day = {DAY}) AS today,
            quantileExactIfOrNull(0.5)(amount, day < {DAY}) AS usual,
            today / nullIf(usual, 0) AS of_usual
        FROM (
            SELECT day, sum(value) AS amount FROM rollups
            WHERE level = {LEVEL} AND unit = {UNIT} AND metric IN ({metrics})
              AND day BETWEEN {DAY} - {USUAL_DAYS} AND {DAY}
            GROUP BY day
        )
        """


MILESTONES = f"""
    SELECT
        p.milestone AS milestone, concat(m.name_hi, ' · ', m.name_en) AS name,
        m.deadline AS deadline, {DAYS_LEFT} AS days_left, {DEADLINE_RANGE},
        p.expected AS expected, p.done_on_time AS done_on_time, p.done_late AS done_late,
        p.overdue AS overdue, p.due AS due,
        (p.done_on_time + p.done_late) / p.expected AS done
    FROM {PROGRESS} AS p
    INNER JOIN (SELECT * FROM milestones ORDER BY plan, position LIMIT 1 BY milestone) AS m
      ON m.milestone = p.milestone
    ORDER BY m.position
"""

CALLS = f"""
    SELECT
        o.unit AS unit, {name("o")} AS name, concat(m.name_hi, ' · ', m.name_en) AS milestone,
        d.milestone AS milestone_code,
        d.overdue AS overdue, d.days_overdue AS days_overdue, m.responsible_hi AS office,
        if(c.phone != '', concat(c.phone, ' ', c.name), NULL) AS call
    FROM (
        SELECT
            a.ancestor AS office_unit, s.milestone AS milestone, any(s.plan) AS plan,
            any(s.responsible) AS responsible, count() AS overdue,
            max(s.days_overdue) AS days_overdue
        FROM board_status(as_of = $__toTime) AS s
        INNER JOIN {ABOVE} AS a ON a.unit = s.unit AND a.level = splitByChar(' ', s.responsible)[1]
        WHERE s.state = 'overdue' AND s.unit IN {BELOW}
        GROUP BY office_unit, milestone
        ORDER BY overdue * days_overdue DESC, office_unit, milestone
        LIMIT 9
    ) AS d
    INNER JOIN milestones AS m ON m.plan = d.plan AND m.milestone = d.milestone
    INNER JOIN {NAMED} AS o ON o.unit = d.office_unit
    LEFT JOIN contacts AS c ON c.unit = d.office_unit
      AND c.role = substring(d.responsible, position(d.responsible, ' ') + 1)
    ORDER BY d.overdue * d.days_overdue DESC, d.office_unit, d.milestone SETTINGS join_use_nulls = 1
"""

WITHIN = within(NEXT_LEVEL)
WORST = f"""
    SELECT
        u.unit AS unit, {name("u")} AS name, p.done AS done, p.overdue AS overdue,
        ifNull(r.reported, 0) / b.booths AS reporting, f.members AS members,
        l.days_since AS days_since
    FROM units AS u
    LEFT JOIN (
        SELECT unit, sum(done_on_time + done_late) / sum(expected) AS done, sum(overdue) AS overdue
        FROM {progress_within(NEXT_LEVEL)}
        GROUP BY unit
    ) AS p ON p.unit = u.unit
    LEFT JOIN (
        SELECT w.ancestor AS unit, count() AS booths
        FROM {WITHIN} AS w
        WHERE w.unit IN (
            SELECT unit FROM units WHERE level = 'booth' AND unit IN (SELECT unit FROM {WITHIN})
        )
        GROUP BY unit
    ) AS b ON b.unit = u.unit
    LEFT JOIN (
        SELECT w.ancestor AS unit, uniqExact(j.unit) AS reported
        FROM (
            SELECT DISTINCT unit
            FROM journal FINAL
            WHERE level = 'booth' AND day = {DAY} AND reports > 0
              AND unit IN (SELECT unit FROM {WITHIN})
        ) AS j
        INNER JOIN {WITHIN} AS w ON w.unit = j.unit GROUP BY unit
    ) AS r ON r.unit = u.unit
    LEFT JOIN (
        SELECT unit, sum(value) AS members FROM rollups
        WHERE level = {NEXT_LEVEL} AND metric IN ({MEMBERS}) AND day = {DAY} AND unit IN {BELOW}
        GROUP BY unit
    ) AS f ON f.unit = u.unit
    LEFT JOIN (
        SELECT unit, {DAY} - max(day) AS days_since
        FROM journal FINAL
        WHERE level = {NEXT_LEVEL} AND day <= {DAY} AND reports > 0 AND unit IN {BELOW}
        GROUP BY unit
    ) AS l ON l.unit = u.unit
    WHERE u.level = {NEXT_LEVEL} AND u.unit IN {BELOW} AND {DAY} BETWEEN u.valid_from AND u.valid_to
    ORDER BY p.overdue / b.booths DESC NULLS LAST, unit LIMIT 10 SETTINGS join_use_nulls = 1
"""

TREND = f"""
    SELECT
        toDateTime(d.day, 'Asia/Kolkata') AS time, f.members_manual AS members_manual,
        f.members_digital AS members_digital
    FROM {DAYS} AS d
    LEFT JOIN (
        SELECT
            day, sumIfOrNull(value, metric = 'members_manual') AS members_manual,
            sumIfOrNull(value, metric = 'members_digital') AS members_digital
        FROM rollups WHERE level = {LEVEL} AND unit = {UNIT} AND metric IN ({MEMBERS}) GROUP BY day
    ) AS f ON f.day = d.day
    ORDER BY time SETTINGS join_use_nulls = 1
"""


def _behind(metric: str) -> Link:
    return Link(
        EXPLAIN, "इसके पीछे की घटनाएँ · the events behind it", unit=None, fixed={"metric": metric}
    )


def _today_panel(title: str, metrics: str, link: Link, place: tuple[int, int, int, int]) -> object:
    definition = (
        f"आज (चुनी अवधि का अंतिम दिन, IST) अब तक का योग; 'सामान्य' पिछले {USUAL_DAYS} दिनों में जिन"
        " दिनों सूचना मिली, उनका माध्यक है। — : किसी ने सूचना नहीं दी, शून्य नहीं। Sum so far of today,"
        f" the last day of the time range (IST); 'usual' is the median of the days reported in the"
        f" {USUAL_DAYS} days before. — : nobody reported, which is not zero."
    )
    columns = [
        Column("today", "आज · today", unit="locale"),
        Column("usual", "सामान्य · usual", unit="locale"),
        Column(
            "of_usual",
            "सामान्य का · of usual",
            unit="percentunit",
            decimals=0,
            steps=((None, ACT), (0.5, LOOK), (0.8, GOOD)),
        ),
    ]
    return stat_panel(title, definition, against_usual(metrics), place, columns, link=link)


def _data_age_panel() -> object:
    return stat_panel(
        "आँकड़ों की आयु · data age",
        "पिछली गिनी गई सूचना Kafka में कब पहुँची, उसके बाद का समय। चुनी अवधि से स्वतंत्र। Time"
        " since the newest counted record reached Kafka, whatever the time range. A worker that"
        " stands still, or a field that is silent, makes it grow.",
        AGE,
        (0, 0, 3, 4),
        [
            Column(
                "age",
                "आयु · age",
                unit="s",
                decimals=0,
                steps=((None, GOOD), (3600, LOOK), (10800, ACT)),
            )
        ],
        link=Link(PIPELINE, "पाइपलाइन खोलें · open the pipeline", unit=None),
    )


def _pipeline_panel() -> object:
    return stat_panel(
        "पाइपलाइन · pipeline",
        "▲: 8 से 22 बजे के बीच एक घंटे से कोई नई सूचना नहीं, या 24 घंटों में 2 % से अधिक"
        " अस्वीकृत। ✖: तीन घंटे से कोई नहीं, 5 % से अधिक अस्वीकृत, या पिछले मिलान में अंतर। ▲"
        " between 8 and 22 o'clock no record for an hour, or more than 2 % rejected in 24"
        " hours; ✖ three hours, 5 %, or the last reconcile found differences that were not"
        " repaired.",
        PIPELINE_LIGHT,
        (3, 0, 3, 4),
        [Column("light", "पाइपलाइन · pipeline", unit="none", mapping=LIGHT)],
        link=Link(PIPELINE, "पाइपलाइन खोलें · open the pipeline", unit=None),
    )


def _booths_reporting_today_panel() -> object:
    return stat_panel(
        "आज सूचना देने वाले बूथ · booths reporting today",
        "जिन खुले बूथों ने आज के दिन के लिए कुछ भी (शून्य भी) बताया, खुले बूथों में उनका"
        " हिस्सा। Booths that reported anything for today, a zero too, out of those open today;"
        " it cannot pass 100 %.",
        REPORTED,
        (6, 0, 6, 4),
        [
            Column("share", "हिस्सा · share", unit="percentunit", decimals=1),
            Column("reported", "सूचना दी · reported", unit="locale"),
            Column("expected", "खुले · open", unit="locale"),
        ],
        link=Link(DISTRICT, "कौन मौन है · who is silent", unit=None),
    )


def _programme_panel() -> object:
    return table_panel(
        "कार्यक्रम: लक्ष्य और अंतिम तिथि · programme: milestones and deadlines",
        "हर लक्ष्य के लिए अपेक्षित इकाइयाँ: समय पर, देर से, बकाया (तिथि बीती), शेष (तिथि आगे)।"
        " चारों का योग अपेक्षित है। '—' दिन: अभियान समाप्त हो चुका है; तिथि पर दबाने से पटल उस दिन का"
        " दिखता है। Units expected for each milestone: on time, late, overdue (deadline passed), due"
        " (deadline ahead). The four add up to expected. As known now, up to one minute old. Days"
        " '—': the campaign is over; a click on a date shows the wall on that day.",
        MILESTONES,
        (0, 4, 13, 11),
        [
            Column("milestone", "code", hidden=True),
            Column(
                "name",
                "लक्ष्य · milestone",
                width=255,
                link=Link(
                    PROGRAMME,
                    "किसने पूरा नहीं किया · who has not",
                    unit=None,
                    from_columns={"milestone": "milestone"},
                ),
            ),
            Column(
                "deadline",
                "तिथि · by",
                unit="time:DD-MM-YYYY",
                width=100,
                link=Link(
                    WALL,
                    "उस दिन का पटल · the wall on that day",
                    unit=None,
                    time_from=("range_begin", "range_end"),
                ),
            ),
            Column("days_left", "दिन · days", unit="none", width=80),
            Column("range_begin", "begin", hidden=True),
            Column("range_end", "end", hidden=True),
            Column("expected", "अपेक्षित · expected", unit="locale", hidden=True),
            Column("done_on_time", "✔ समय पर · on time", unit="locale", width=140),
            Column("done_late", "◐ देर से · late", unit="locale", width=105),
            Column(
                "overdue",
                "✖ बकाया · overdue",
                unit="locale",
                width=135,
                steps=((None, PLAIN), (1, ACT)),
            ),
            Column("due", "○ शेष · due", unit="locale", width=90),
            Column(
                "done",
                "पूरा · done",
                unit="percentunit",
                decimals=0,
                width=90,
                steps=((None, ACT), (0.5, LOOK), (0.9, GOOD)),
            ),
        ],
    )


def _whom_to_call_now_panel() -> object:
    return table_panel(
        "अभी किसे फ़ोन करें · whom to call now",
        "जिस पद के नीचे सबसे अधिक और सबसे पुराना बकाया है (इकाइयाँ गुणा दिन), वह पहले। नाम और"
        " नंबर केवल उन खातों को दिखते हैं जो देख सकते हैं। Offices first below which most is"
        " overdue for longest: units times days. Names and numbers come from the contacts and"
        " show to accounts that may read them.",
        CALLS,
        (13, 4, 11, 11),
        [
            Column("unit", "code", hidden=True),
            Column(
                "name",
                "कहाँ · where",
                width=135,
                link=Link(
                    PROGRAMME,
                    "किसका क्या बकाया · who is overdue",
                    from_columns={"milestone": "milestone_code"},
                ),
            ),
            Column("milestone", "लक्ष्य · milestone", width=150),
            Column("milestone_code", "code", hidden=True),
            Column(
                "overdue",
                "✖ बकाया · overdue",
                unit="locale",
                width=140,
                steps=((None, PLAIN), (1, ACT)),
            ),
            Column("days_overdue", "दिन · days", unit="none", width=80),
            Column("office", "पद · office", width=125),
            Column("call", "फ़ोन · call"),
        ],
    )


def _districts_panel() -> object:
    return table_panel(
        "ज़िले, सबसे पिछड़े पहले · districts, worst first",
        "प्रति बूथ बकाया लक्ष्यों के क्रम में दस। 'पूरा' सब लक्ष्यों का; 'सूचना' आज सूचना देने"
        " वाले बूथों का हिस्सा; 'मौन दिन' पिछली सूचना के बाद के दिन। Ten, by overdue milestones"
        " per booth. 'Done' over all milestones; 'reporting' is the share of open booths that"
        " reported for today; 'silent days' since the last day with a report.",
        WORST,
        (0, 15, 14, 12),
        [
            Column("unit", "code", hidden=True),
            Column(
                "name",
                "ज़िला · district",
                width=220,
                link=Link(DISTRICT, "ज़िला खोलें · open the district"),
            ),
            Column(
                "done",
                "पूरा · done",
                unit="percentunit",
                decimals=1,
                gauge=True,
                width=190,
                steps=((None, ACT), (0.5, LOOK), (0.9, GOOD)),
            ),
            Column(
                "overdue",
                "✖ बकाया · overdue",
                unit="locale",
                width=145,
                steps=((None, PLAIN), (1, ACT)),
            ),
            Column("reporting", "सूचना · reporting", unit="percentunit", decimals=1, width=150),
            Column(
                "members",
                "आज सदस्य · members today",
                unit="locale",
                width=205,
                link=Link(EXPLAIN, "घटनाएँ · events", fixed={"metric": "members_digital"}),
            ),
            Column(
                "days_since",
                "मौन दिन · silent days",
                unit="none",
                width=175,
                steps=((None, PLAIN), (3, LOOK), (14, ACT)),
            ),
        ],
    )


def _members_enrolled_by_day_panel() -> object:
    return timeseries_panel(
        "दैनिक सदस्यता · members enrolled by day",
        "हर दिन कागज़ और डिजिटल से बने सदस्य, सूचित, सत्यापित नहीं। रिक्त दिन: सूचना नहीं;"
        " ज़मीन पर बिंदु: शून्य बताया गया। Members enrolled on each day, on paper and"
        " digitally, as reported and not as verified. A gap is a day without a report; a point"
        " on the ground is a reported zero.",
        TREND,
        (14, 15, 10, 12),
        unit="locale",
        columns=[
            Column("members_manual", "कागज़ी · paper", unit="locale"),
            Column("members_digital", "डिजिटल · digital", unit="locale"),
        ],
        link=_behind("members_digital"),
    )


def build() -> Dashboard:
    """Build the wall."""
    dashboard = new_dashboard(
        WALL,
        "प्रदेश नियंत्रण कक्ष · State control room",
        "अभी क्या करना है: कार्यक्रम समय पर है? कौन मौन है? किसे फ़ोन करें? What to do now: is the"
        " programme on time, who is silent, whom to call?",
    )
    panels = [
        _data_age_panel(),
        _pipeline_panel(),
        _booths_reporting_today_panel(),
        _today_panel(
            "आज बने सदस्य · members enrolled today",
            MEMBERS,
            _behind("members_digital"),
            (12, 0, 6, 4),
        ),
        _today_panel("आज की पहुँच · reach today", REACH, _behind("reach_whatsapp"), (18, 0, 6, 4)),
        _programme_panel(),
        _whom_to_call_now_panel(),
        _districts_panel(),
        _members_enrolled_by_day_panel(),
    ]
    dashboard = dashboard.with_variable(variables.clickhouse()).with_variable(
        variables.units("'state', 'division', 'district'")
    )
    return add_panels(dashboard, panels)
