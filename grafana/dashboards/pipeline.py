"""Pipeline health: whether figures are current and complete, and what was rejected."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana import variables
from grafana.dashboards.base import PIPELINE, add_panels, new_dashboard
from grafana.dashboards.wall import AGE, PIPELINE_LIGHT
from grafana.labels import ACT, GOOD, LIGHT, LOOK, PLAIN, YES
from grafana.panels import Column, prometheus_panel, stat_panel, table_panel, timeseries_panel

RANGE = "last_appended_at BETWEEN $__fromTime AND $__toTime"

# of a chunk that was folded more than once, the newest attempt counts
CHUNKS = "(SELECT * FROM chunks ORDER BY updated_at DESC LIMIT 1 BY partition, chunk)"

OUTCOMES = f"""
    SELECT
        toStartOfHour(last_appended_at, 'Asia/Kolkata') AS time, sum(c.accepted) AS accepted,
        sum(c.duplicates) AS duplicates, sum(c.rejected) AS rejected, sum(c.forwarded) AS forwarded
    FROM {CHUNKS} AS c WHERE {RANGE} GROUP BY time ORDER BY time
"""

SHARES = f"""
    SELECT
        toStartOfHour(last_appended_at, 'Asia/Kolkata') AS time,
        sum(c.rejected) / sum(c.records) AS rejected,
        sum(c.duplicates) / sum(c.records) AS duplicates
    FROM {CHUNKS} AS c WHERE {RANGE} GROUP BY time HAVING sum(c.records) > 0 ORDER BY time
"""

TOTALS = f"""
    SELECT
        sumOrNull(c.records) AS records, sumOrNull(c.accepted) AS accepted,
        sumOrNull(c.duplicates) AS duplicates, sumOrNull(c.rejected) AS rejected,
        sumOrNull(c.forwarded) AS forwarded
    FROM {CHUNKS} AS c WHERE {RANGE}
"""

REASONS = """
    SELECT toStartOfHour(appended_at, 'Asia/Kolkata') AS time, reason AS name, count() AS rejected
    FROM rejections
    WHERE appended_at BETWEEN $__fromTime AND $__toTime
    GROUP BY time, name
    ORDER BY time, name
"""

REJECTED = """
    SELECT
        reason, state, detail, count() AS rejected, max(appended_at) AS newest,
        argMax(partition, appended_at) AS partition_of, argMax(offset, appended_at) AS offset_of
    FROM rejections
    WHERE appended_at BETWEEN $__fromTime AND $__toTime
    GROUP BY reason, state, detail
    ORDER BY rejected DESC, newest DESC
    LIMIT 200
"""

PARTITIONS = """
    SELECT
        partition, max(next_offset) AS counted_to, maxIf(next_offset, closed) AS closed_to,
        maxIfOrNull(opened_at, next_offset > closed_upto) AS open_since,
        dateDiff('second', open_since, now64(3)) AS open_age,
        max(last_appended_at) AS newest_record, dateDiff('second', newest_record, now64(3)) AS age,
        argMax(worker, updated_at) AS worker,
        uniqExact(registry) AS registries
    FROM (
        SELECT *, max(if(closed, next_offset, 0)) OVER (PARTITION BY partition) AS closed_upto
        FROM chunks FINAL
    )
    GROUP BY partition ORDER BY partition
"""

ATTEMPTS = f"""
    SELECT
        partition, chunk, uniqExact(attempt) AS attempts,
        arrayStringConcat(groupUniqArray(worker), ', ') AS workers, max(closed) AS closed,
        max(updated_at) AS at
    FROM chunks FINAL
    WHERE {RANGE}
    GROUP BY partition, chunk
    HAVING attempts > 1
    ORDER BY at DESC
    LIMIT 100
"""

CORRECTIONS = """
    SELECT
        toStartOfDay(appended_at, 'Asia/Kolkata') AS time,
        countIf(version > 1 AND op = 'report') / count() AS corrections,
        countIf(op = 'retract') / count() AS retractions
    FROM ledger FINAL
    WHERE appended_at BETWEEN $__fromTime AND $__toTime
    GROUP BY time
    ORDER BY time
"""

TOOLS = """
    SELECT
        tool, producer, count() AS versions, countIf(version > 1) AS corrections,
        max(appended_at) AS last_came, dateDiff('second', last_came, now64(3)) AS age,
        quantile(0.5)(dateDiff('second', occurred_at, appended_at)) AS delay
    FROM ledger FINAL
    WHERE appended_at BETWEEN $__fromTime AND $__toTime
    GROUP BY tool, producer
    ORDER BY versions DESC
"""

RECONCILIATIONS = """
    SELECT
        at, records, figures, different, toUInt8(different = 0) AS equal,
        if(repair = 0, NULL, repair) AS repair, seconds
    FROM reconciliations
    ORDER BY at DESC
    LIMIT 20
"""

REPAIRS = """
    SELECT at, toString(kind) AS kind, author, reason, entries, complete
    FROM repairs FINAL
    ORDER BY at DESC
    LIMIT 20
"""

PARTS = """
    SELECT table, count() AS parts, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts
    WHERE active AND database = currentDatabase() GROUP BY table ORDER BY bytes DESC
"""


def _pipeline_panel() -> object:
    return stat_panel(
        "पाइपलाइन · pipeline",
        "▲ 8 से 22 बजे एक घंटे से कुछ नया नहीं, या 2 % से अधिक अस्वीकृत; ✖ तीन घंटे, 5 %,"
        " या मिलान में अंतर। As on the wall: ▲ no record for an hour by day or more than 2"
        " % rejected in 24 hours; ✖ three hours, 5 %, or a reconcile that differs.",
        PIPELINE_LIGHT,
        (0, 0, 4, 5),
        [Column("light", "पाइपलाइन · pipeline", unit="none", mapping=LIGHT)],
    )


def _data_age_panel() -> object:
    return stat_panel(
        "आँकड़ों की आयु · data age",
        "पिछली गिनी गई सूचना Kafka में कब पहुँची, उसके बाद का समय। Time since the newest"
        " counted record reached Kafka, whatever the time range.",
        AGE,
        (4, 0, 4, 5),
        [
            Column(
                "age",
                "आयु · age",
                unit="s",
                decimals=0,
                steps=((None, GOOD), (3600, LOOK), (10800, ACT)),
            )
        ],
    )


def _records_panel() -> object:
    return stat_panel(
        "अभिलेख · records",
        "चुनी अवधि में Kafka से पढ़े अभिलेख, परिणाम के अनुसार; चारों का योग सब है (टिक के"
        " सिवा)। Records read from Kafka in the range, by what became of them: accepted,"
        " repeated, rejected, sent on to their partition.",
        TOTALS,
        (8, 0, 16, 5),
        [
            Column("records", "सब · all", unit="locale"),
            Column("accepted", "✔ स्वीकृत · accepted", unit="locale"),
            Column("duplicates", "दोहराव · repeats", unit="locale"),
            Column("rejected", "✖ अस्वीकृत · rejected", unit="locale"),
            Column("forwarded", "आगे भेजे · sent on", unit="locale"),
        ],
    )


def _records_by_hour_panel() -> object:
    return timeseries_panel(
        "प्रति घंटा अभिलेख · records by hour",
        "हर हिस्से (chunk) का अंतिम घंटा; एक हिस्सा कभी दो घंटों में नहीं जाता। By the hour"
        " of the broker's clock; a chunk of the log never spans two. An hour without"
        " records has no bar.",
        OUTCOMES,
        (0, 5, 12, 9),
        unit="locale",
        bars=True,
        columns=[
            Column("accepted", "✔ स्वीकृत · accepted", unit="locale"),
            Column("duplicates", "दोहराव · repeats", unit="locale"),
            Column("rejected", "✖ अस्वीकृत · rejected", unit="locale"),
            Column("forwarded", "आगे भेजे · sent on", unit="locale"),
        ],
    )


def _rejected_and_repeated_panel() -> object:
    return timeseries_panel(
        "अस्वीकृत और दोहराव · rejected and repeated",
        "उस घंटे के सब अभिलेखों में हिस्सा। Share of all records of the hour. Rejected"
        " records are kept in Kafka with their reason: `pravah replay rejected --to FILE`"
        " writes them out to be repaired.",
        SHARES,
        (12, 5, 12, 9),
        unit="percentunit",
        columns=[
            Column("rejected", "✖ अस्वीकृत · rejected", unit="percentunit"),
            Column("duplicates", "दोहराव · repeats", unit="percentunit"),
        ],
    )


def _lag_panel() -> object:
    return prometheus_panel(
        "विलंब · lag",
        "सबसे पुराने अभिलेख की आयु जो Kafka में है और आँकड़ों में नहीं; Prometheus से, हर"
        " विभाजन का अधिकतम। Age of the oldest record that is in Kafka and not in the"
        " figures, the most of any partition; reported by the workers. No line: no worker"
        " runs.",
        {"सेकंड · seconds": "max(pravah_lag_seconds)"},
        (0, 14, 6, 9),
        unit="s",
    )


def _reasons_of_rejection_panel() -> object:
    return timeseries_panel(
        "अस्वीकृति के कारण · reasons of rejection",
        "प्रति घंटा अस्वीकृत अभिलेख, कारण के अनुसार। Rejected records by hour and by the"
        " reason that stands in the header of activity.rejected.",
        REASONS,
        (12, 14, 12, 9),
        unit="locale",
        bars=True,
    )


def _what_was_rejected_panel() -> object:
    return table_panel(
        "क्या अस्वीकृत हुआ · what was rejected",
        "कारण और विवरण के अनुसार, नवीनतम का स्थान; अभिलेख स्वयं Kafka में है: `pravah"
        " replay rejected --to FILE`। By reason and detail, with the place of the newest."
        " The record itself stays in Kafka: `pravah replay rejected --to FILE` writes it"
        " out, to be corrected and sent again.",
        REJECTED,
        (0, 23, 24, 12),
        [
            Column("reason", "कारण · reason", width=190),
            Column("state", "प्रदेश · state", width=110),
            Column("detail", "विवरण · detail"),
            Column("rejected", "कितने · how many", unit="locale", width=150),
            Column("newest", "नवीनतम · newest", unit="dateTimeAsIso", width=190),
            Column("partition_of", "partition", unit="none", width=90),
            Column("offset_of", "offset", unit="none", width=100),
        ],
    )


def _partitions_panel() -> object:
    return table_panel(
        "विभाजन · partitions",
        "हर विभाजन कहाँ तक गिना गया, खुला हिस्सा कब से खुला है, नवीनतम अभिलेख। शांत विभाजन"
        " में खुला हिस्सा घंटों खुला रहना सामान्य है। Per partition: counted up to, how"
        " long its open chunk has been open (hours are usual in a quiet one), the newest"
        " record.",
        PARTITIONS,
        (0, 35, 14, 10),
        [
            Column("partition", "partition", unit="none", width=90),
            Column("counted_to", "गिना · counted to", unit="locale", width=135),
            Column("closed_to", "बंद · closed to", unit="locale", width=125),
            Column("open_since", "कब से खुला · open since", unit="dateTimeAsIso", width=175),
            Column("open_age", "खुला · open for", unit="s", decimals=0, width=125),
            Column("newest_record", "नवीनतम · newest record", unit="dateTimeAsIso", width=180),
            Column("age", "आयु · age", unit="s", decimals=0, width=95),
            Column("worker", "worker", width=90),
            Column(
                "registries",
                "सूचियाँ · registries",
                unit="none",
                steps=((None, PLAIN), (2, LOOK)),
            ),
        ],
    )


def _more_than_one_attempt_panel() -> object:
    return table_panel(
        "एक से अधिक प्रयास · more than one attempt",
        "हिस्से जो फिर से गिने गए; अंतर हो तो बंद होते समय सुधारे जाते हैं। Chunks that"
        " were folded again, after a restart or a rebalance; what differs is repaired when"
        " they close.",
        ATTEMPTS,
        (14, 35, 10, 10),
        [
            Column("partition", "partition", unit="none", width=90),
            Column("chunk", "chunk", unit="none", width=85),
            Column("attempts", "प्रयास · attempts", unit="none", width=130),
            Column("workers", "workers"),
            Column("closed", "बंद · closed", unit="none", mapping=YES, width=110),
            Column("at", "कब · at", unit="dateTimeAsIso", width=180),
        ],
    )


def _corrections_and_retractions_panel() -> object:
    return timeseries_panel(
        "सुधार और वापसी · corrections and retractions",
        "उस दिन आए स्वीकृत संस्करणों में हिस्सा। Share of the accepted versions that came"
        " on the day: higher versions, and versions that take an entity back.",
        CORRECTIONS,
        (0, 45, 12, 8),
        unit="percentunit",
        columns=[
            Column("corrections", "सुधार · corrections", unit="percentunit"),
            Column("retractions", "वापसी · retractions", unit="percentunit"),
        ],
    )


def _tools_panel() -> object:
    return table_panel(
        "साधन · tools",
        "चुनी अवधि में हर साधन की स्वीकृत घटनाएँ, पिछली कब आई, और घटना से आने तक का माध्यक"
        " समय। Accepted versions by tool and installation, when the last one came, and the"
        " median time from happening to arriving.",
        TOOLS,
        (12, 45, 12, 8),
        [
            Column("tool", "साधन · tool", width=115),
            Column("producer", "स्थापना · producer", width=140),
            Column("versions", "घटनाएँ · events", unit="locale", width=120),
            Column("corrections", "सुधार · corrections", unit="locale", width=145),
            Column("last_came", "पिछली · last", unit="dateTimeAsIso", width=180),
            Column("age", "आयु · age", unit="s", decimals=0, width=100),
            Column("delay", "विलंब · delay", unit="s", decimals=0),
        ],
    )


def _reconciliations_panel() -> object:
    return table_panel(
        "मिलान · reconciliations",
        "`pravah reconcile`: हर आँकड़े की दूसरी विधि से गिनती। Every figure recounted in"
        " another way; 'different' must be 0. A repair number says that what differed was"
        " repaired.",
        RECONCILIATIONS,
        (0, 53, 9, 9),
        [
            Column("at", "कब · at", unit="dateTimeAsIso", width=170),
            Column("records", "अभिलेख · records", unit="locale", width=135),
            Column("figures", "आँकड़े · figures", unit="locale", width=120),
            Column(
                "different",
                "अंतर · different",
                unit="locale",
                width=120,
                steps=((None, PLAIN), (1, ACT)),
            ),
            Column("equal", "बराबर · equal", unit="none", mapping=YES),
            Column("repair", "सुधार · repair", unit="none"),
            Column("seconds", "समय · took", unit="s", decimals=1),
        ],
    )


def _repairs_panel() -> object:
    return table_panel(
        "सुधार · repairs",
        "आँकड़ों में किए गए सुधार, कारण और करने वाले के साथ। Repairs of figures, with reason and author.",
        REPAIRS,
        (9, 53, 8, 9),
        [
            Column("at", "कब · at", unit="dateTimeAsIso", width=170),
            Column("kind", "प्रकार · kind", width=90),
            Column("author", "किसने · by"),
            Column("reason", "क्यों · why"),
            Column("entries", "प्रविष्टियाँ · entries", unit="locale"),
            Column("complete", "पूरा · complete", unit="none", mapping=YES),
        ],
    )


def _parts_panel() -> object:
    return table_panel(
        "ClickHouse: भाग · parts",
        "हर तालिका के सक्रिय भाग, पंक्तियाँ और आकार; कुछ सौ भाग सामान्य हैं। Active parts,"
        " rows and size of each table that this account may see. Some hundred parts are"
        " usual; thousands slow everything down.",
        PARTS,
        (17, 53, 7, 9),
        [
            Column("table", "तालिका · table", width=160),
            Column(
                "parts",
                "भाग · parts",
                unit="locale",
                width=95,
                steps=((None, PLAIN), (300, LOOK), (1000, ACT)),
            ),
            Column("rows", "पंक्तियाँ · rows", unit="locale", width=125),
            Column("bytes", "आकार · size", unit="bytes"),
        ],
    )


def build() -> Dashboard:
    """Build the pipeline dashboard."""
    dashboard = new_dashboard(
        PIPELINE,
        "पाइपलाइन · Pipeline health",
        "क्या आँकड़े ताज़ा और पूरे हैं, और क्या अस्वीकृत हुआ? Are the figures up to date and"
        " complete, and what was refused?",
        days=1,
    )
    dashboard = dashboard.with_variable(variables.clickhouse()).with_variable(
        variables.prometheus()
    )
    return add_panels(
        dashboard,
        [
            _pipeline_panel(),
            _data_age_panel(),
            _records_panel(),
            _records_by_hour_panel(),
            _rejected_and_repeated_panel(),
            _lag_panel(),
            prometheus_panel(
                "गेटवे की प्रतीक्षा-सूची · the gateway's outbox",
                "गेटवे में टिकाऊ रूप से रखी, Kafka को अभी न दी गई घटनाएँ। Events that the gateway"
                " keeps durably and has not handed to Kafka yet. No line: no gateway runs.",
                {"घटनाएँ · events": "sum(pravah_outbox_events)"},
                (6, 14, 6, 9),
                unit="locale",
            ),
            _reasons_of_rejection_panel(),
            _what_was_rejected_panel(),
            _partitions_panel(),
            _more_than_one_attempt_panel(),
            _corrections_and_retractions_panel(),
            _tools_panel(),
            _reconciliations_panel(),
            _repairs_panel(),
            _parts_panel(),
        ],
    )
