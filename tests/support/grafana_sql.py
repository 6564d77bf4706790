"""Queries as ClickHouse gets them: the plugin's macros and Grafana's variables replaced.

By the documentation of both.
"""

import re
from datetime import datetime


def as_sent(
    sql: str, first: datetime, last: datetime, variables: dict[str, list[str] | str] | None = None
) -> str:
    """A query's text for a time range.

    Args:
        sql: as it stands in a panel.
        first: begin of the time range, with its zone.
        last: its end.
        variables: name → chosen values; none chosen is an empty value, as Grafana has it.
    """

    def milliseconds(instant: datetime) -> int:
        return int(instant.timestamp() * 1000)

    def quoted(found: re.Match) -> str:
        chosen = (variables or {})[found[1]]
        values = [chosen] if isinstance(chosen, str) else chosen or [""]
        escaped = ["'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values]
        return ",".join(escaped)

    sql = sql.replace("$__fromTime", f"toDateTime(intDiv({milliseconds(first)},1000))").replace(
        "$__toTime", f"toDateTime(intDiv({milliseconds(last)},1000))"
    )
    sql = re.sub(r"\$\{(\w+):singlequote\}", quoted, sql)
    assert "$" not in re.sub(r"'[^']*'", "", sql), sql
    return sql
