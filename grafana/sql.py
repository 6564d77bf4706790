"""SQL that several panels share.

A dashboard shows the state at the end of its time range: "today" is the day of `$__toTime` in
Asia/Kolkata. So it also shows any day of the past, as known now.
"""

# Today.
DAY = "toDate($__toTime, 'Asia/Kolkata')"
# First day of the time range.
FIRST = "toDate($__fromTime, 'Asia/Kolkata')"
# The unit that the viewer chose.
UNIT = "${unit:singlequote}"
# The usual amount is the median of the reported days among this many days before.
USUAL_DAYS = 28

# Its level.
LEVEL = f"(SELECT any(level) FROM units WHERE unit = {UNIT})"

# Days until the deadline of a row of `milestones AS m`. NULL if the campaign is over today: all
# deadlines have passed and nothing was reported for 30 days, so that a number would say nothing.
DAYS_LEFT = f"""if(
    (SELECT max(deadline) FROM milestones) < {DAY} - 30
    AND (SELECT max(day) FROM journal WHERE reports > 0) < {DAY} - 30,
    NULL, m.deadline - {DAY}
)"""

# The month up to a deadline, or up to today before it: milliseconds as text, for a link's time
# range, since Grafana would format numbers.
_RANGE_END = f"toUnixTimestamp(toDateTime(least(m.deadline, {DAY}) + 1, 'Asia/Kolkata')) - 1"
DEADLINE_RANGE = f"""
    toString(({_RANGE_END}) * 1000) AS range_end,
    toString(({_RANGE_END} - 30 * 86400) * 1000) AS range_begin
"""

# Units at or below it today.
BELOW = f"""(
    SELECT unit FROM unit_ancestors
    WHERE ancestor = {UNIT} AND {DAY} BETWEEN valid_from AND valid_to
)"""

# Ancestors of these units today, the units themselves included. A join with it reads no rows of
# other units.
ABOVE = f"""(
    SELECT unit, ancestor, toString(ancestor_level) AS level FROM unit_ancestors
    WHERE unit IN {BELOW} AND {DAY} BETWEEN valid_from AND valid_to
)"""

# Rows of `units` of both.
NAMED = f"(SELECT * FROM units WHERE unit IN (SELECT ancestor FROM {ABOVE}))"

_COUNTS = """
    count() AS expected,
    countIf(s.state = 'done_on_time') AS done_on_time,
    countIf(s.state = 'done_late') AS done_late,
    countIf(s.state = 'overdue') AS overdue,
    countIf(s.state = 'due') AS due,
    countIf(
        s.state = 'done_on_time' AND toDate(s.known_at, 'Asia/Kolkata') > s.deadline
    ) AS known_late
"""

# Rows of `board_progress` of the chosen unit, counted from the units below it only.
PROGRESS = f"""(
    SELECT s.milestone AS milestone, {_COUNTS}
    FROM board_status(as_of = $__toTime) AS s
    WHERE s.unit IN {BELOW}
    GROUP BY milestone
)"""

# Level that a table of units below the chosen one shows. Below a state these are its districts,
# since a division has no office to call.
NEXT_LEVEL = f"""(
    SELECT transform(
        any(toString(level)), ['national', 'state', 'division', 'district', 'assembly'],
        ['state', 'district', 'district', 'assembly', 'booth'], 'booth'
    )
    FROM units WHERE unit = {UNIT}
)"""

# Every day of the time range: a day without a report then shows as a gap, not as a line across.
DAYS = f"""(
    SELECT arrayJoin(
        arrayMap(
            offset -> {FIRST} + offset, range(toUInt32(greatest(0, {DAY} - {FIRST} + 1)))
        )
    ) AS day
)"""


def within(level: str) -> str:
    """Units below those of a level that are at or below the chosen unit today.

    `ancestor` is the unit of that level. An assembly's booths in other districts are included.

    Args:
        level: an expression, such as `'district'`.
    """
    return f"""(
        SELECT unit, ancestor FROM unit_ancestors
        WHERE ancestor IN (SELECT unit FROM units WHERE level = {level} AND unit IN {BELOW})
          AND {DAY} BETWEEN valid_from AND valid_to
    )"""


def progress_within(level: str) -> str:
    """Rows of `board_progress` of the units of a level, as `within`, from the units below only."""
    return f"""(
        SELECT s.milestone AS milestone, w.ancestor AS unit, {_COUNTS}
        FROM board_status(as_of = $__toTime) AS s INNER JOIN {within(level)} AS w ON w.unit = s.unit
        WHERE s.unit IN (SELECT unit FROM {within(level)}) GROUP BY milestone, unit
    )"""


def is_below(unit: str, ancestor: str, day: str = DAY) -> str:
    """Condition: a row of `unit_ancestors AS a` has a unit below an ancestor on a day."""
    return (
        f"a.unit = {unit} AND a.ancestor = {ancestor} AND {day} BETWEEN a.valid_from AND a.valid_to"
    )


def name(alias: str) -> str:
    """A unit's name in both scripts."""
    return f"concat({alias}.name_hi, ' · ', {alias}.name_en)"


def keys_below(unit: str = UNIT) -> str:
    """Routing keys of a unit and of all units that were ever below it.

    The ledger is sorted by routing key, so that a query with them reads little of it.
    """
    return f"""(
        SELECT DISTINCT if(
            match(unit, '-AC[0-9]{{3}}-B'), substring(unit, 1, position(unit, '-B') - 1), unit
        )
        FROM unit_ancestors
        WHERE ancestor = {unit}
    )"""
