"""Parts of SQL that several panels share.

A screen shows the state of things at the end of its time range: "today" is the day of `$__toTime` in Asia/Kolkata. So the same screen shows any day of the past, as it is known now.
"""

DAY = "toDate($__toTime, 'Asia/Kolkata')"
"""The day that counts as today."""
FIRST = "toDate($__fromTime, 'Asia/Kolkata')"
"""The first day of the time range."""
UNIT = "${unit:singlequote}"
"""The unit that the viewer chose."""
USUAL_DAYS = 28
"""What is usual is the median of the days reported in so many days before."""

LEVEL = f"(SELECT any(level) FROM units WHERE unit = {UNIT})"
"""Its level."""

BELOW = (
    f"(SELECT unit FROM unit_ancestors WHERE ancestor = {UNIT} AND {DAY} BETWEEN valid_from AND"
    " valid_to)"
)
"""The units at or below it, today."""

ABOVE = (
    "(SELECT unit, ancestor, toString(ancestor_level) AS level FROM unit_ancestors WHERE unit IN"
    f" {BELOW} AND {DAY} BETWEEN valid_from AND valid_to)"
)
"""What these stand below, today, themselves included: a join that reads no other unit's rows."""

NAMED = f"(SELECT * FROM units WHERE unit IN (SELECT ancestor FROM {ABOVE}))"
"""The rows of `units` of both."""

_COUNTS = """
    count() AS expected, countIf(s.state = 'done_on_time') AS done_on_time, countIf(s.state = 'done_late') AS done_late, countIf(s.state = 'overdue') AS overdue,
    countIf(s.state = 'due') AS due, countIf(s.state = 'done_on_time' AND toDate(s.known_at, 'Asia/Kolkata') > s.deadline) AS known_late
"""

PROGRESS = (
    f"(SELECT s.milestone AS milestone, {_COUNTS} FROM board_status(as_of = $__toTime) AS s WHERE"
    f" s.unit IN {BELOW} GROUP BY milestone)"
)
"""The chosen unit's rows of `board_progress`, counted from what stands below it and no other unit."""

NEXT_LEVEL = f"""(
    SELECT transform(
        any(toString(level)), ['national', 'state', 'division', 'district', 'assembly'],
        ['state', 'district', 'district', 'assembly', 'booth'], 'booth'
    )
    FROM units WHERE unit = {UNIT}
)"""
"""The level that a table below it shows: below a state its districts, since a division has no office of its own to call."""

DAYS = (
    f"(SELECT arrayJoin(arrayMap(offset -> {FIRST} + offset, range(toUInt32(greatest(0, {DAY} -"
    f" {FIRST} + 1))))) AS day)"
)
"""Every day of the time range, so that a day without a report is a gap and no line across."""


def within(level: str) -> str:
    """Each unit that stands below one of a level which is the chosen unit or stands below it, today, with that one as `ancestor`; an assembly's booths of other districts are among them.

    Args:
        level: an expression, such as `'district'`.
    """
    return f"""(
        SELECT unit, ancestor FROM unit_ancestors
        WHERE ancestor IN (SELECT unit FROM units WHERE level = {level} AND unit IN {BELOW})
          AND {DAY} BETWEEN valid_from AND valid_to
    )"""


def progress_within(level: str) -> str:
    """The rows of `board_progress` of the units of a level that `within` knows, counted from what stands below them and no other unit."""
    return f"""(
        SELECT s.milestone AS milestone, w.ancestor AS unit, {_COUNTS}
        FROM board_status(as_of = $__toTime) AS s INNER JOIN {within(level)} AS w ON w.unit = s.unit
        WHERE s.unit IN (SELECT unit FROM {within(level)}) GROUP BY milestone, unit
    )"""


def is_below(unit: str, ancestor: str, day: str = DAY) -> str:
    """Whether a unit's row `unit_ancestors AS a` says that it stands below an ancestor on a day."""
    return (
        f"a.unit = {unit} AND a.ancestor = {ancestor} AND {day} BETWEEN a.valid_from AND a.valid_to"
    )


def name(alias: str) -> str:
    """A unit's name in both scripts."""
    return f"concat({alias}.name_hi, ' · ', {alias}.name_en)"


def keys_below(unit: str = UNIT) -> str:
    """The routing keys under which events of a unit, or of any unit that ever stood below it, lie in the ledger, which is sorted by them."""
    return f"""(
        SELECT DISTINCT if(
            match(unit, '-AC[0-9]{{3}}-B'), substring(unit, 1, position(unit, '-B') - 1), unit
        )
        FROM unit_ancestors
        WHERE ancestor = {unit}
    )"""
