"""Behind a figure: its days, chunks of the log, and events, as `pravah explain` has them."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import variables
from grafana.dashboards.base import EXPLAIN, add_panels, new_dashboard
from grafana.labels import COUNTS, YES
from grafana.panels import Column, stat_panel, table_panel, timeseries_panel
from grafana.sql import DAY, DAYS, FIRST, LEVEL, UNIT, keys_below, name

METRIC = "${metric:singlequote}"

# which versions count is defined in `rollup/contribution.py`: of a flow an entity's highest
# version, of a stock its latest observation that is not retracted
JUDGED = f"""
    SELECT v.*,
           highest_op = 'report' AND highest_verification != 'rejected' AND op = 'report'
             AND has(metrics, {METRIC})
           AND if(stock, version > retracted AND place = 1, version = highest)
           AND arrayExists(
               span -> if(stock, {DAY}, day) BETWEEN span.1 AND span.2, spans
           ) AS counts,
           amounts[indexOf(metrics, {METRIC})] AS amount
    FROM (
        SELECT
            *,
            row_number() OVER (
                PARTITION BY key, entity, op = 'report' AND version > retracted AND day <= {DAY}
                ORDER BY occurred_at DESC, version DESC
            ) AS place
        FROM (
            SELECT *, (SELECT any(type) = 'stock' FROM metrics WHERE metric = {METRIC}) AS stock,
                   max(version) OVER e AS highest,
                   maxIf(version, op = 'retract') OVER e AS retracted,
                   argMax(toString(op), version) OVER e AS highest_op,
                   argMax(toString(verification), version) OVER e AS highest_verification
            FROM events
            WHERE key IN {keys_below()} AND (key, entity) IN (
                SELECT key, entity
                FROM events
                WHERE key IN {keys_below()} AND has(metrics, {METRIC}) AND day <= {DAY}
                  AND unit IN (SELECT unit FROM unit_ancestors WHERE ancestor = {UNIT})
            )
            WINDOW e AS (PARTITION BY key, entity)
        )
        WHERE day <= {DAY} AND (stock OR day >= {FIRST})
    ) AS v
    LEFT JOIN (
        SELECT unit, groupArray((valid_from, valid_to)) AS spans
        FROM unit_ancestors
        WHERE ancestor = {UNIT}
        GROUP BY unit
    ) AS s ON s.unit = v.unit
"""

FIGURE = f"""
    SELECT
        f.value AS value, f.verified AS verified, e.counted AS counted,
        if(isNull(f.value), NULL, f.value = e.counted) AS equal
    FROM (
        SELECT
            if(any(stock), argMax(amount, day), sumIf(amount, day >= {FIRST})) AS value,
            if(any(stock), argMax(proved, day), sumIf(proved, day >= {FIRST})) AS verified
        FROM (
            SELECT
                day, value AS amount, verified_value AS proved,
                metric IN (SELECT metric FROM metrics WHERE type = 'stock') AS stock
            FROM rollups
            WHERE level = {LEVEL} AND unit = {UNIT} AND metric = {METRIC} AND day <= {DAY}
        )
        WHERE stock OR day >= {FIRST} HAVING count() > 0
    ) AS f
    CROSS JOIN (SELECT sumIf(amount, counts) AS counted FROM ({JUDGED})) AS e
"""

BY_DAY = f"""
    SELECT toDateTime(d.day, 'Asia/Kolkata') AS time, f.value AS value, f.verified AS verified
    FROM {DAYS} AS d
    LEFT JOIN (
        SELECT day, sum(r.value) AS value, sum(r.verified_value) AS verified
        FROM rollups AS r
        WHERE r.level = {LEVEL} AND r.unit = {UNIT} AND r.metric = {METRIC}
        GROUP BY day
    ) AS f ON f.day = d.day
    ORDER BY time SETTINGS join_use_nulls = 1
"""

EVENTS = f"""
    SELECT
        toUInt8(counts) AS counts, amount, unit, {name("u")} AS name, occurred_at, kind,
        toString(op) AS op, toString(verification) AS verification, entity, version, highest,
        tool, producer, evidence, partition, offset, appended_at
    FROM ({JUDGED}) AS e INNER JOIN units AS u ON u.unit = e.unit
    ORDER BY counts DESC, occurred_at DESC, entity, version DESC LIMIT 500
"""

ORIGINS = f"""
    SELECT
        j.partition AS partition, j.chunk AS chunk, j.value AS value, j.verified AS verified,
        nullIf(r.reason, '') AS repair, j.written_at AS written_at
    FROM (
        SELECT
            partition, chunk, sum(value) AS value, sum(verified_value) AS verified,
            max(written_at) AS written_at
        FROM journal FINAL
        WHERE level = {LEVEL} AND unit = {UNIT} AND metric = {METRIC} AND day <= {DAY}
          AND (day >= {FIRST} OR metric IN (SELECT metric FROM metrics WHERE type = 'stock'))
        GROUP BY partition, chunk HAVING (value, verified) != (0, 0)
    ) AS j
    LEFT JOIN (SELECT toInt32(-1) AS partition, repair AS chunk, reason FROM repairs FINAL) AS r
      ON r.partition = j.partition AND r.chunk = j.chunk
    ORDER BY partition, chunk LIMIT 500
"""

PROGRAMME = f"""
    SELECT
        unit, kind, toString(op) AS op, toString(verification) AS verification, occurred_at, entity,
        version, tool, data, appended_at
    FROM events
    WHERE key IN {keys_below()} AND day BETWEEN {FIRST} AND {DAY}
      AND kind IN (SELECT kind FROM plan_kinds)
      AND unit IN (SELECT unit FROM unit_ancestors WHERE ancestor = {UNIT})
    ORDER BY occurred_at DESC, entity, version DESC LIMIT 500
"""

WHEN = Column("occurred_at", "कब (IST) · when", unit="dateTimeAsIso", width=180)
APPENDED_AT = Column("appended_at", "कब पहुँची · when it came", unit="dateTimeAsIso", width=180)


def _the_figure_panel() -> object:
    return stat_panel(
        "आँकड़ा और घटनाओं का योग · the figure, and its events added up",
        "चुनी अवधि का प्रवाह, या अंतिम दिन का स्टॉक; और गिनी गई घटनाओं का योग। दोनों बराबर"
        " होने चाहिए। The flow of the time range, or the stock on its last day; and the sum"
        " of the events that count. Both must be equal.",
        FIGURE,
        (0, 0, 10, 8),
        [
            Column("value", "आँकड़ा · figure", unit="locale"),
            Column("verified", "सत्यापित · verified", unit="locale"),
            Column("counted", "घटनाएँ · events", unit="locale"),
            Column("equal", "बराबर · equal", unit="none", mapping=YES),
        ],
    )


def _by_day_panel() -> object:
    return timeseries_panel(
        "दिन के अनुसार · by day",
        "प्रवाह: उस दिन का; स्टॉक: दिन के अंत का स्तर, जिस दिन बदला या बताया गया। A flow on"
        " its day; a stock at the end of each day on which it changed or was reported.",
        BY_DAY,
        (10, 0, 14, 8),
        unit="locale",
        columns=[
            Column("value", "सब · all", unit="locale"),
            Column("verified", "सत्यापित · verified", unit="locale"),
        ],
    )


def _events_panel() -> object:
    return table_panel(
        "घटनाएँ · events",
        "इस आँकड़े की हर स्वीकृत घटना, गिनी गई पहले, 500 तक। जो नहीं गिनी गई: नया संस्करण"
        " है, वापस ली गई, अस्वीकृत हुई, या इकाई उस दिन यहाँ नहीं थी। Every accepted"
        " version, those that count first, up to 500. One that does not count was replaced"
        " by a higher version, taken back, refused on a back-check, or its unit stood"
        " elsewhere that day.",
        EVENTS,
        (0, 8, 24, 16),
        [
            Column("counts", "गिनी? · counts?", unit="none", mapping=COUNTS, width=170),
            Column("amount", "मात्रा · amount", unit="locale", width=110),
            Column("unit", "कोड · code", width=150),
            Column("name", "इकाई · unit"),
            WHEN,
            Column("kind", "प्रकार · kind", width=150),
            Column("op", "क्रिया · op", width=90),
            Column("verification", "सत्यापन · verification", width=130),
            Column("entity", "विषय · entity", width=220),
            Column("version", "संस्करण · version", unit="none", width=90),
            Column("highest", "नवीनतम · highest", unit="none", width=90),
            Column("tool", "साधन · tool", width=110),
            Column("producer", "स्रोत · producer", width=120),
            Column("evidence", "प्रमाण · evidence"),
            Column("partition", "partition", unit="none", width=80),
            Column("offset", "offset", unit="none", width=90),
            APPENDED_AT,
        ],
    )


def _from_which_chunks_of_the_log_panel() -> object:
    return table_panel(
        "लॉग के किन हिस्सों से · from which chunks of the log",
        "आँकड़ा इन हिस्सों और सुधारों का योग है। The figure is the sum over these chunks of"
        " the log; partition -1 is a repair, with its reason.",
        ORIGINS,
        (0, 24, 10, 12),
        [
            Column("partition", "partition", unit="none", width=90),
            Column("chunk", "chunk", unit="none", width=100),
            Column("value", "सब · all", unit="locale"),
            Column("verified", "सत्यापित · verified", unit="locale"),
            Column("repair", "सुधार का कारण · repair"),
            Column("written_at", "लिखा · written", unit="dateTimeAsIso", width=180),
        ],
    )


def _events_of_the_programme_panel() -> object:
    return table_panel(
        "कार्यक्रम की घटनाएँ · events of the programme",
        "इस इकाई और नीचे की नियुक्ति, प्रशिक्षण, समिति और समूह की घटनाएँ, चुनी अवधि में,"
        " 500 तक। Appointments, trainings, committees and groups at or below the unit in"
        " the time range, up to 500: what milestones are made of.",
        PROGRAMME,
        (10, 24, 14, 12),
        [
            Column("unit", "कोड · code", width=150),
            Column("kind", "प्रकार · kind", width=150),
            Column("op", "क्रिया · op", width=90),
            Column("verification", "सत्यापन · verification", width=110),
            WHEN,
            Column("entity", "विषय · entity", width=180),
            Column("version", "संस्करण · version", unit="none", width=90),
            Column("tool", "साधन · tool", width=110),
            Column("data", "विवरण · data"),
            APPENDED_AT,
        ],
    )


def build() -> Dashboard:
    """Build the dashboard behind a figure."""
    dashboard = new_dashboard(
        EXPLAIN,
        "आँकड़े के पीछे · Behind a figure",
        "यह आँकड़ा किन घटनाओं से बना है? Of which events is this figure made? `pravah explain`"
        " shows the same on the command line.",
        refresh="",
    )
    dashboard = (
        dashboard.with_variable(variables.clickhouse())
        .with_variable(variables.any_unit())
        .with_variable(variables.metric())
    )
    return add_panels(
        dashboard,
        [
            _the_figure_panel(),
            _by_day_panel(),
            _events_panel(),
            _from_which_chunks_of_the_log_panel(),
            _events_of_the_programme_panel(),
        ],
    )
