"""Alert rules over the same views as the dashboards.

Each query returns a row per alert instance: text columns are its labels, its only number is
compared with the threshold. No row means no alert. Rules have no variables; Grafana's server
replaces the macros.
"""

from dataclasses import dataclass

from grafana_foundation_sdk.builders import alerting, expr
from grafana_foundation_sdk.models.alerting import RelativeTimeRange

from grafana.clickhouse_query import ClickHouseQuery
from grafana.dashboards.base import ACTIVITY, DISTRICT, PIPELINE, PROGRAMME
from grafana.sql import DAY, name

# uids of what we provision.
DATASOURCE = "pravah-clickhouse"
FOLDER = "pravah"
# Teams: those who call people, and those who run the servers.
CONTROL_ROOM, OPERATIONS = "control_room", "operations"

_HOUR = 3600


@dataclass(frozen=True)
class AlertRule:
    """An alert rule."""

    uid: str
    team: str
    severity: str
    """`act`: at once; `look`: today."""
    title: str
    text_hi: str
    text_en: str
    """A Grafana template: `$labels` has the query's text columns, `$values.A` its number."""
    sql: str
    threshold: float
    """The rule fires while the number is above it."""
    pending_period: str
    """How long the number must be above before the rule fires."""
    link: str
    """Path of the dashboard that shows more."""


# districts that by the forecast will miss a deadline within three weeks
_AT_RISK = f"""
    SELECT
        f.unit AS unit, any({name("u")}) AS unit_name, f.milestone AS milestone,
        any(concat(m.name_hi, ' · ', m.name_en)) AS milestone_name,
        formatDateTime(any(f.deadline), '%d-%m-%Y') AS deadline,
        if(
            any(f.outlook) = 'forecast', formatDateTime(any(f.reached_at), '%d-%m-%Y'),
            'दिखता नहीं · not in sight'
        ) AS expected_on,
        toFloat64(any(f.goal) - any(f.done)) AS missing
    FROM board_forecast(as_of = $__toTime, share = 0.8) AS f
    INNER JOIN units AS u ON u.unit = f.unit
    INNER JOIN milestones AS m ON m.plan = f.plan AND m.milestone = f.milestone
    WHERE f.level = 'district' AND f.deadline BETWEEN {DAY} AND {DAY} + 21 AND f.expected > 1
      AND (f.outlook = 'not_in_sight' OR f.outlook = 'forecast' AND f.reached_at > f.deadline)
    GROUP BY unit, milestone
"""

_OVERDUE = f"""
    SELECT
        p.unit AS unit, any({name("u")}) AS unit_name, p.milestone AS milestone,
        any(concat(m.name_hi, ' · ', m.name_en)) AS milestone_name,
        formatDateTime(any(m.deadline), '%d-%m-%Y') AS deadline,
        toFloat64(any(p.overdue) / any(p.expected) * 100) AS overdue_percent
    FROM board_progress(as_of = $__toTime) AS p
    INNER JOIN units AS u ON u.unit = p.unit
    INNER JOIN milestones AS m ON m.milestone = p.milestone AND startsWith(p.unit, m.plan)
    WHERE p.level = 'district' AND p.overdue > 0 AND {DAY} - m.deadline BETWEEN 1 AND 45
    GROUP BY unit, milestone
"""

_SILENT = f"""
    SELECT
        u.unit AS unit, {name("u")} AS unit_name,
        toFloat64({DAY} - if(l.last_day = toDate(0), u.valid_from, l.last_day)) AS days
    FROM units AS u
    LEFT JOIN (
        SELECT unit, max(day) AS last_day
        FROM journal FINAL
        WHERE level = 'district' AND day <= {DAY} AND reports > 0
        GROUP BY unit
    ) AS l ON l.unit = u.unit
    WHERE u.level = 'district' AND {DAY} BETWEEN u.valid_from AND u.valid_to
      AND splitByChar('-', u.unit)[1] IN (SELECT plan FROM plans)
      AND (SELECT count() FROM journal WHERE level = 'state') > 0
"""

# yesterday, the last whole day, against the median of the 28 days before; where the usual amount is
# small, any factor may be chance
_CHANGE = f"""
    SELECT
        unit, any(unit_name) AS unit_name, what,
        if(ratio < 1, 'गिरावट · drop', 'उछाल · jump') AS direction,
        toFloat64(abs(log2(ratio))) AS doublings
    FROM (
        SELECT
            a.unit AS unit, {name("u")} AS unit_name, a.what AS what,
            (a.yesterday + 1) / (a.usual + 1) AS ratio
        FROM (
            SELECT
                unit, what, sumIf(amount, day = {DAY} - 1) AS yesterday,
                quantileExactIf(0.5)(amount, day < {DAY} - 1) AS usual,
                countIf(day < {DAY} - 1) AS days
            FROM (
                SELECT
                    unit, day,
                    if(startsWith(metric, 'members_'), 'सदस्य · members', 'पोस्ट · posts') AS what,
                    sum(value) AS amount
                FROM rollups
                WHERE level = 'district' AND day BETWEEN {DAY} - 29 AND {DAY} - 1
                  AND metric IN (
                      SELECT metric
                      FROM metrics
                      WHERE type = 'flow'
                        AND (startsWith(metric, 'members_') OR startsWith(metric, 'posts_'))
                  )
                GROUP BY unit, what, day
            )
            GROUP BY unit, what
        ) AS a
        INNER JOIN units AS u ON u.unit = a.unit
        WHERE a.usual >= 20 AND a.days >= 14
    )
    GROUP BY unit, what, ratio
"""

_CHUNKS = "(SELECT * FROM chunks ORDER BY updated_at DESC LIMIT 1 BY partition, chunk)"

_REJECTS = f"""
    SELECT toFloat64(recent_rejected / recent * 100) AS percent
    FROM (
        SELECT
            sumIf(records, last_appended_at > $__toTime - INTERVAL 1 HOUR) AS recent,
            sumIf(rejected, last_appended_at > $__toTime - INTERVAL 1 HOUR) AS recent_rejected,
            sumIf(records, last_appended_at <= $__toTime - INTERVAL 1 HOUR) AS earlier,
            sumIf(rejected, last_appended_at <= $__toTime - INTERVAL 1 HOUR) AS earlier_rejected
        FROM {_CHUNKS} AS c WHERE last_appended_at BETWEEN $__toTime - INTERVAL 7 DAY AND $__toTime
    )
    WHERE recent >= 100 AND recent_rejected / recent > 3 * (earlier_rejected + 1) / (earlier + 100)
"""

# age of the newest record when it was last made durable; a partition without updates is covered by
# the rule for stale data
_LAG = """
    SELECT
        toString(partition) AS partition,
        toFloat64(
            dateDiff('second', argMax(last_appended_at, updated_at), max(updated_at))
        ) AS seconds
    FROM chunks
    WHERE NOT closed
      AND updated_at BETWEEN $__toTime - INTERVAL 10 MINUTE AND $__toTime + INTERVAL 1 MINUTE
    GROUP BY partition
"""

_STALE = """
    SELECT toFloat64(
        if(
            toHour($__toTime, 'Asia/Kolkata') BETWEEN 9 AND 21,
            dateDiff('minute', max(last_appended_at), $__toTime), 0
        )
    ) AS minutes
    FROM chunks WHERE last_appended_at <= $__toTime HAVING count() > 0
"""

_RECONCILE = """
    SELECT toFloat64(different) AS different
    FROM reconciliations
    WHERE at <= $__toTime AND repair = 0 AND at > $__toTime - INTERVAL 7 DAY
    ORDER BY at DESC
    LIMIT 1
"""

RULES = (
    AlertRule(
        "pravah-milestone-at-risk",
        CONTROL_ROOM,
        "look",
        "लक्ष्य जोखिम में · Milestone at risk",
        "{{ $labels.unit_name }}: {{ $labels.milestone_name }} {{ $labels.deadline }} तक 80 % नहीं"
        ' होगा; इस गति से {{ $labels.expected_on }}। {{ printf "%.0f" $values.A.Value }} इकाइयाँ'
        " शेष।",
        "{{ $labels.unit_name }}: {{ $labels.milestone_name }} will not reach 80 % by {{"
        ' $labels.deadline }}; at this pace {{ $labels.expected_on }}. {{ printf "%.0f"'
        " $values.A.Value }} units are missing.",
        _AT_RISK,
        0,
        "1h",
        f"d/{PROGRAMME}?var-unit={{{{ $labels.unit }}}}&var-milestone={{{{ $labels.milestone }}}}",
    ),
    AlertRule(
        "pravah-milestone-overdue",
        CONTROL_ROOM,
        "act",
        "लक्ष्य बकाया · Milestone overdue",
        "{{ $labels.unit_name }}: {{ $labels.milestone_name }} की तिथि {{ $labels.deadline }} बीत"
        ' गई, {{ printf "%.0f" $values.A.Value }} % बकाया।',
        "{{ $labels.unit_name }}: {{ $labels.milestone_name }} was due on {{ $labels.deadline }},"
        ' {{ printf "%.0f" $values.A.Value }} % are overdue.',
        _OVERDUE,
        10,
        "1h",
        f"d/{PROGRAMME}?var-unit={{{{ $labels.unit }}}}&var-milestone={{{{ $labels.milestone }}}}",
    ),
    AlertRule(
        "pravah-silent-district",
        CONTROL_ROOM,
        "act",
        "ज़िला मौन · Silent district",
        '{{ $labels.unit_name }}: {{ printf "%.0f" $values.A.Value }} दिनों से किसी इकाई की कोई'
        " सूचना नहीं।",
        '{{ $labels.unit_name }}: no report of any unit for {{ printf "%.0f" $values.A.Value }}'
        " days.",
        _SILENT,
        2,
        "1h",
        f"d/{DISTRICT}?var-unit={{{{ $labels.unit }}}}",
    ),
    AlertRule(
        "pravah-sudden-change",
        CONTROL_ROOM,
        "look",
        "अचानक परिवर्तन · Sudden drop or jump",
        "{{ $labels.unit_name }}: {{ $labels.what }} में {{ $labels.direction }}, कल सामान्य से"
        " बहुत अलग। घटनाएँ देखें, फिर पूछें।",
        "{{ $labels.unit_name }}: {{ $labels.direction }} of {{ $labels.what }}; yesterday was far"
        " from usual. See the events, then ask.",
        _CHANGE,
        2,
        "1h",
        f"d/{ACTIVITY}?var-unit={{{{ $labels.unit }}}}",
    ),
    AlertRule(
        "pravah-rejects-rising",
        OPERATIONS,
        "look",
        "अस्वीकृति बढ़ रही है · Rejects rising",
        'पिछले घंटे के {{ printf "%.1f" $values.A.Value }} % अभिलेख अस्वीकृत, पिछले सात दिनों से तीन गुना।',
        '{{ printf "%.1f" $values.A.Value }} % of the last hour\'s records were rejected, three'
        " times the share of the seven days before.",
        _REJECTS,
        2,
        "5m",
        f"d/{PIPELINE}",
    ),
    AlertRule(
        "pravah-lag",
        OPERATIONS,
        "act",
        "आँकड़े पिछड़ रहे हैं · Figures lag behind",
        'विभाजन {{ $labels.partition }}: अभिलेख {{ printf "%.0f" $values.A.Value }} सेकंड बाद'
        " आँकड़ों में आते हैं।",
        'Partition {{ $labels.partition }}: records reach the figures {{ printf "%.0f"'
        " $values.A.Value }} seconds late.",
        _LAG,
        300,
        "5m",
        f"d/{PIPELINE}",
    ),
    AlertRule(
        "pravah-stale-data",
        OPERATIONS,
        "act",
        "आँकड़े पुराने · Stale data",
        '{{ printf "%.0f" $values.A.Value }} मिनट से कोई नया अभिलेख नहीं गिना गया: worker, Kafka और'
        " गेटवे देखें।",
        'No new record was counted for {{ printf "%.0f" $values.A.Value }} minutes: look at worker,'
        " Kafka and gateway.",
        _STALE,
        180,
        "10m",
        f"d/{PIPELINE}",
    ),
    AlertRule(
        "pravah-reconcile-failed",
        OPERATIONS,
        "act",
        "मिलान में अंतर · Reconcile found differences",
        'पिछले मिलान में {{ printf "%.0f" $values.A.Value }} आँकड़े अलग निकले और सुधारे नहीं गए:'
        " `pravah reconcile`।",
        'The last reconcile found {{ printf "%.0f" $values.A.Value }} figures that differ and were'
        " not repaired: `pravah reconcile`.",
        _RECONCILE,
        0,
        "0s",
        f"d/{PIPELINE}",
    ),
)


def rule_group(team: str) -> alerting.RuleGroup:
    """The rules of a team: evaluated every 5 minutes for the control room, else each minute."""
    built = (
        alerting.RuleGroup(f"pravah {team}")
        .folder_uid(FOLDER)
        .interval(300 if team == CONTROL_ROOM else 60)
    )
    for rule in RULES:
        if rule.team == team:
            built = built.with_rule(_rule(rule))
    return built


def _rule(rule: AlertRule) -> alerting.Rule:
    query = ClickHouseQuery(rule.sql, uid=DATASOURCE)
    condition = expr.ExprTypeThresholdConditions().evaluator(
        expr.ExprTypeThresholdConditionsEvaluator().type("gt").params([rule.threshold])
    )
    hours = RelativeTimeRange(from_val=_HOUR, to=0)
    return (
        alerting.Rule(rule.title)
        .uid(rule.uid)
        .folder_uid(FOLDER)
        .rule_group(f"pravah {rule.team}")
        .with_query(
            alerting.Query("A").datasource_uid(DATASOURCE).relative_time_range(hours).model(query)
        )
        .with_query(
            alerting.Query("B")
            .datasource_uid("__expr__")
            .relative_time_range(hours)
            .model(expr.TypeThreshold().ref_id("B").expression("A").conditions([condition]))
        )
        .condition("B")
        .for_val(rule.pending_period)
        .no_data_state("OK")
        .exec_err_state("Error")
        .labels({"team": rule.team, "severity": rule.severity})
        .annotations(
            {
                "summary": rule.text_hi,
                "description": rule.text_en,
                "link": "{{ externalURL }}" + rule.link,
            }
        )
    )
