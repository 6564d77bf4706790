"""Activity: posts, reach, engagement, groups and membership, compared per booth, and outliers."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import variables
from grafana.dashboards import subtree
from grafana.dashboards.base import ACTIVITY, EXPLAIN, add_panels, new_dashboard
from grafana.labels import LEVELS, METHODS
from grafana.panels import Column, Link, stat_panel, table_panel, timeseries_panel
from grafana.sql import BELOW, DAY, DAYS, FIRST, LEVEL, NEXT_LEVEL, UNIT, name

CHOSEN = "metric IN (${metric:singlequote})"
# Of similar size: reach would flatten the others' curves.
CHOSEN_AT_FIRST = (
    *("posts_facebook", "posts_twitter", "posts_whatsapp", "members_manual", "members_digital"),
    *("whatsapp_groups", "broadcast_groups", "volunteers", "incharges"),
)
STOCKS = "(SELECT metric FROM metrics WHERE type = 'stock')"

TOTALS = f"""
    SELECT
        m.metric AS metric, concat(m.name_hi, ' · ', m.name_en) AS name, toString(m.type) AS type,
        f.value AS value, f.verified AS verified, f.verified / nullIf(f.value, 0) AS share,
        f.usual AS usual, f.days AS days
    FROM metrics AS m
    LEFT JOIN (
        SELECT
            metric, if(any(stock), argMax(amount, day), sumIf(amount, day >= {FIRST})) AS value,
            if(any(stock), argMax(proved, day), sumIf(proved, day >= {FIRST})) AS verified,
            if(any(stock), NULL, quantileExactIfOrNull(0.5)(amount, day >= {FIRST})) AS usual,
            countIf(day >= {FIRST}) AS days
        FROM (
            SELECT
                metric, day, value AS amount, verified_value AS proved, metric IN {STOCKS} AS stock
            FROM rollups
            WHERE level = {LEVEL} AND unit = {UNIT} AND {CHOSEN} AND day <= {DAY}
        )
        WHERE stock OR day >= {FIRST} GROUP BY metric
    ) AS f ON f.metric = m.metric
    WHERE m.{CHOSEN} ORDER BY m.position SETTINGS join_use_nulls = 1
"""


def by_day(kind: str) -> str:
    """Query for flows of each day, or stocks at its end; a stock keeps its level until reported."""
    amount = (
        "f.value"
        if kind == "flow"
        else (
            "last_value(f.value) IGNORE NULLS OVER (PARTITION BY m.metric ORDER BY d.day ROWS"
            " BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        )
    )
    day = "day" if kind == "flow" else f"greatest(day, {FIRST})"
    return f"""
        SELECT
            toDateTime(d.day, 'Asia/Kolkata') AS time, concat(m.name_hi, ' · ', m.name_en) AS name,
            {amount} AS value
        FROM {DAYS} AS d
        CROSS JOIN (SELECT * FROM metrics WHERE type = '{kind}' AND {CHOSEN}) AS m
        LEFT JOIN (
            SELECT metric, {day} AS at, argMax(value, day) AS value FROM rollups
            WHERE level = {LEVEL} AND unit = {UNIT} AND {CHOSEN}
              AND day BETWEEN {FIRST if kind == "flow" else "toDate('1970-01-01')"} AND {DAY}
            GROUP BY metric, at
        ) AS f ON f.metric = m.metric AND f.at = d.day
        ORDER BY time, name SETTINGS join_use_nulls = 1
    """


FLOWS, GROUPS = by_day("flow"), by_day("stock")

# Above this many keys below a unit, persons are approximate.
EXACT_UP_TO = 200_000

PERSONS = f"""
    SELECT
        members, verified, if(named = 0, NULL, named) AS named,
        if(named = 0, NULL, persons) AS persons,
        if(named = 0, NULL, (toInt64(named) - toInt64(persons)) / named) AS repeated,
        toString(method) AS method
    FROM members_at(as_of = $__toTime, exact_up_to = {EXACT_UP_TO}) WHERE unit = {UNIT}
"""

TWICE = f"""
    SELECT
        member_key, memberships, arrayStringConcat(arraySlice(units, 1, 5), ', ') AS where,
        length(units) AS units_named, first_day, last_day
    FROM members_named_twice(as_of = $__toTime, unit = {UNIT})
    ORDER BY memberships DESC, last_day DESC, member_key
    LIMIT 100
"""

COMPARED = f"""
    SELECT
        u.unit AS unit, {name("u")} AS name, b.booths AS booths, f.posts / b.booths * 100 AS posts,
        f.reach / b.booths * 100 AS reach, f.engagements / nullIf(f.reach, 0) AS engaged,
        f.members / b.booths * 100 AS members, f.digital / nullIf(f.members, 0) AS digital,
        f.verified / nullIf(f.members, 0) AS verified
    FROM units AS u
    INNER JOIN (
        SELECT if(a.ancestor_level = a.own_level, a.unit, a.ancestor) AS unit, count() AS booths
        FROM (
            SELECT *, 'booth' AS own_level
            FROM unit_ancestors
            WHERE {DAY} BETWEEN valid_from AND valid_to
        ) AS a
        WHERE a.unit IN (SELECT unit FROM units WHERE level = 'booth') GROUP BY unit
    ) AS b ON b.unit = u.unit
    LEFT JOIN (
        SELECT
            unit, sumIfOrNull(value, startsWith(metric, 'posts_')) AS posts,
            sumIfOrNull(value, startsWith(metric, 'reach_')) AS reach,
            sumIfOrNull(value, startsWith(metric, 'engagements_')) AS engagements,
            sumIfOrNull(value, startsWith(metric, 'members_')) AS members,
            sumIfOrNull(value, metric = 'members_digital') AS digital,
            sumIfOrNull(verified_value, startsWith(metric, 'members_')) AS verified
        FROM rollups WHERE level = {NEXT_LEVEL} AND day BETWEEN {FIRST} AND {DAY}
          AND metric IN (
              SELECT metric
              FROM metrics
              WHERE type = 'flow' AND match(metric, '^(posts|reach|engagements|members)_')
          )
        GROUP BY unit
    ) AS f ON f.unit = u.unit
    WHERE toString(u.level) = {NEXT_LEVEL} AND u.unit IN {BELOW}
      AND {DAY} BETWEEN u.valid_from AND u.valid_to
    ORDER BY members DESC NULLS LAST, unit LIMIT 500 SETTINGS join_use_nulls = 1
"""

UNUSUAL = f"""
    SELECT
        v.day AS day, toString(v.level) AS level, v.unit AS unit, {name("u")} AS name,
        v.metric AS metric, concat(m.name_hi, ' · ', m.name_en) AS metric_name, v.amount AS amount,
        v.usual AS usual, v.own_z AS own_z, v.peer_z AS peer_z
    FROM unusual_values(first = greatest({FIRST}, {DAY} - 6), last = {DAY}) AS v
    INNER JOIN units AS u ON u.unit = v.unit
    INNER JOIN metrics AS m ON m.metric = v.metric
    WHERE v.{CHOSEN} AND v.unit IN {BELOW}
    ORDER BY greatest(abs(ifNull(v.own_z, 0)), abs(ifNull(v.peer_z, 0))) DESC, day DESC, unit
    LIMIT 100
"""


def _figures_of_the_time_range_panel() -> object:
    return table_panel(
        "चुनी अवधि के आँकड़े · figures of the time range",
        "प्रवाह: अवधि का योग; स्टॉक: अंतिम दिन का स्तर। सत्यापित: जिनका नवीनतम संस्करण जाँच"
        " में सही निकला। सामान्य दिन: सूचित दिनों का माध्यक। '—': सूचना नहीं। A flow is the"
        " sum over the range, a stock its level on the last day. Verified: whose highest"
        " version was verified. A usual day is the median of the days reported. '—' was not"
        " reported.",
        TOTALS,
        (0, 0, 12, 14),
        [
            Column("metric", "code", hidden=True),
            Column(
                "name",
                "आँकड़ा · metric",
                width=205,
                link=Link(
                    EXPLAIN,
                    "इसके पीछे की घटनाएँ · the events behind it",
                    unit=None,
                    from_columns={"metric": "metric"},
                ),
            ),
            Column("type", "type", hidden=True),
            Column("value", "सब · all", unit="locale"),
            Column("verified", "सत्यापित · verified", unit="locale"),
            Column("share", "हिस्सा · share", unit="percentunit", decimals=1),
            Column("usual", "सामान्य · usual day", unit="locale", width=165),
            Column("days", "दिन · days", unit="none", width=95),
        ],
    )


def _by_day_panel() -> object:
    return timeseries_panel(
        "प्रतिदिन · by day",
        "चुने प्रवाह, उस दिन के। रिक्त दिन: सूचना नहीं; ज़मीन पर बिंदु: शून्य बताया गया।"
        " The chosen flows on their day. A gap is a day without a report; a point on the"
        " ground a reported zero.",
        FLOWS,
        (12, 0, 12, 7),
        unit="locale",
    )


def _groups_and_offices_held_panel() -> object:
    return timeseries_panel(
        "समूह और पदधारी · groups and offices held",
        "चुने स्टॉक, दिन के अंत का स्तर; जब तक कोई नई सूचना न आए, स्तर बना रहता है। The"
        " chosen stocks at the end of each day; a level stays until something new is"
        " reported.",
        GROUPS,
        (12, 7, 12, 7),
        unit="locale",
    )


def _compared_panel() -> object:
    return table_panel(
        "तुलना, प्रति 100 बूथ · compared, per 100 booths",
        "चुनी अवधि का योग, उस दिन खुले हर 100 बूथों पर; इसलिए छोटी-बड़ी इकाइयाँ तुलनीय हैं।"
        " सहभागिता: पहुँच का हिस्सा। Sums of the range for every 100 booths open today, so"
        " that units of different size compare. Engagement is a share of reach; digital and"
        " verified are shares of members.",
        COMPARED,
        (0, 14, 14, 14),
        [
            Column("unit", "code", hidden=True),
            Column(
                "name",
                "इकाई · unit",
                width=180,
                link=Link(ACTIVITY, "इसकी गतिविधि · its activity"),
            ),
            Column("booths", "बूथ · booths", unit="locale", width=110),
            Column("posts", "पोस्ट · posts", unit="locale", decimals=1, width=115),
            Column("reach", "पहुँच · reach", unit="locale", decimals=0, width=115),
            Column("engaged", "सहभागिता · engaged", unit="percentunit", decimals=1, width=150),
            Column("members", "सदस्य · members", unit="locale", decimals=1, width=140),
            Column("digital", "डिजिटल · digital", unit="percentunit", decimals=0, width=130),
            Column("verified", "सत्यापित · verified", unit="percentunit", decimals=1, width=145),
        ],
    )


def _members_panel() -> object:
    return stat_panel(
        "सदस्य: कितने व्यक्ति · members: how many persons",
        "अब तक बताए गए सदस्य, उनमें सत्यापित, जिनकी पहचान-कुंजी दी गई, और कुंजियों में"
        f" अलग-अलग व्यक्ति। {EXACT_UP_TO:,} कुंजियों तक सटीक, आगे लगभग 0.3 % तक। Members"
        " reported to date, of these verified, named by a key, and different persons among"
        f" the keys; exact up to {EXACT_UP_TO:,} keys, beyond that within some 0.3 %."
        " 'Repeated': share of keys that name somebody again.",
        PERSONS,
        (0, 28, 24, 5),
        [
            Column("members", "बताए · reported", unit="locale"),
            Column("verified", "सत्यापित · verified", unit="locale"),
            Column("named", "कुंजी सहित · named", unit="locale"),
            Column("persons", "व्यक्ति · persons", unit="locale"),
            Column("repeated", "दोहराए · repeated", unit="percentunit", decimals=1),
            Column("method", "विधि · method", unit="string", mapping=METHODS),
        ],
    )


def _members_reported_twice_panel() -> object:
    return table_panel(
        "दो बार बताए गए सदस्य · members reported twice",
        "एक ही कुंजी एक से अधिक सदस्यता-सूचनाओं में: कहाँ, कितनी बार। कुंजी से कोई व्यक्ति"
        " पहचाना नहीं जा सकता। The same key in more than one membership: where and how"
        " often. A key is a keyed hash: nobody is known by it.",
        TWICE,
        (0, 33, 24, 13),
        [
            Column("member_key", "कुंजी · key", width=520),
            Column("memberships", "कितनी बार · times", unit="none", width=160),
            Column("where", "कहाँ · where"),
            Column("units_named", "इकाइयाँ · units", unit="none", width=140),
            Column("first_day", "पहली बार · first", unit="time:DD-MM-YYYY", width=150),
            Column("last_day", "अंतिम बार · last", unit="time:DD-MM-YYYY", width=150),
        ],
    )


def _unusual_values_panel() -> object:
    return table_panel(
        "असामान्य मान · unusual values",
        "पिछले सात दिनों के मान जो उसी इकाई के 28 दिनों से, या उसी दिन की पड़ोसी इकाइयों से"
        " बहुत अलग हैं (संशोधित z ≥ 3.5)। असामान्य का अर्थ ग़लत नहीं: घटनाएँ देखें, फिर"
        " पूछें। Values of the last seven days that stand out from the unit's own 28 days"
        " or from its peers on the day (modified z-score from 3.5 on). Of a stock the"
        " amount is the day's change. Unusual is not wrong: see the events, then ask.",
        UNUSUAL,
        (0, 46, 24, 12),
        [
            Column("day", "दिन · day", unit="time:DD-MM-YYYY", width=120),
            Column("level", "स्तर · level", mapping=LEVELS, width=190),
            Column("unit", "कोड · code", width=150),
            Column(
                "name",
                "इकाई · unit",
                link=Link(EXPLAIN, "घटनाएँ · events", from_columns={"metric": "metric"}),
            ),
            Column("metric", "code", hidden=True),
            Column("metric_name", "आँकड़ा · metric"),
            Column("amount", "मात्रा · amount", unit="locale"),
            Column("usual", "सामान्य · usual", unit="locale", decimals=0),
            Column("own_z", "अपने से · z, own days", unit="none", decimals=1),
            Column("peer_z", "पड़ोस से · z, peers", unit="none", decimals=1),
        ],
    )


def build() -> Dashboard:
    """Build the activity dashboard."""
    dashboard = new_dashboard(
        ACTIVITY,
        "गतिविधि · Activity",
        "क्या किया जा रहा है, कहाँ अधिक, कहाँ कम, और क्या असामान्य है? What is being done, where"
        " more and where less, and what stands out?",
        refresh="5m",
    )
    dashboard = dashboard.with_variable(variables.clickhouse()).with_variable(
        variables.units("'national', 'state', 'division', 'district', 'assembly'")
    )
    return add_panels(
        dashboard.with_variable(variables.metrics(chosen=CHOSEN_AT_FIRST)),
        [
            _figures_of_the_time_range_panel(),
            _by_day_panel(),
            _groups_and_offices_held_panel(),
            _compared_panel(),
            subtree.members_panel((14, 14, 10, 14)),
            _members_panel(),
            _members_reported_twice_panel(),
            _unusual_values_panel(),
        ],
    )
