"""What ClickHouse accounts that only read may read, and the settings of their queries.

A table or view that is not named here is closed to them until somebody names it.
"""

from typing import Literal

from schemas.scopes import list_names

Reader = Literal["grafana", "aicc"]

# Tables and views for those who see every unit, besides those that a unit's account reads.
_OF_ALL_UNITS = (
    "back_check_samples",
    "chunks",
    "deployment",
    "milestones",
    "reconciliations",
    "rejected_records",
    "rejections",
    "rollups_as_known",
    "rollups_known_at",
    # copies that headquarters keeps of other deployments
    "pulled_rollups",
    "pulled_cursors",
)
# The API looks its tokens up by the hash of a secret, and cannot list them.
_OF_THE_API = ("api_token",)

# Of every query of a reader.
SETTINGS = {
    "readonly": 1,
    "allow_introspection_functions": 0,
    "max_memory_usage": 4_000_000_000,
    "max_memory_usage_for_user": 8_000_000_000,
    "max_execution_time": 120,
    "max_result_bytes": 4_000_000_000,
    "max_threads": 8,
    "max_concurrent_queries_for_user": 100,
    "max_sessions_for_user": 200,
}
# What clients send with their queries: from 1 to a largest value, or any (None). All other settings
# are constant.
SETTING_LIMITS: dict[str, int | None] = {
    # clickhouse-go, so Grafana, derives it from its own time-out
    "max_execution_time": 600,
    "max_threads": 8,
    "max_result_rows": None,
    "max_block_size": 1_000_000,
    "result_overflow_mode": None,
    "join_use_nulls": None,
    "session_timezone": None,
    "log_comment": None,
    "enable_http_compression": None,
    "send_progress_in_http_headers": None,
    "http_headers_progress_interval_ms": None,
    "http_write_exception_in_output_format": None,
    "date_time_output_format": None,
    "output_format_arrow_string_as_string": None,
    "output_format_json_array_of_rows": None,
    "output_format_json_quote_64bit_integers": None,
    "output_format_parquet_string_as_string": None,
}


def list_readable(reader: Reader) -> tuple[str, ...]:
    """The tables and views that an account reads, in the database."""
    return (
        *list_names(),
        *_OF_ALL_UNITS,
        *(_OF_THE_API if reader == "aicc" else ()),
    )


def list_reader_grants(reader: Reader, database: str) -> list[str]:
    """List the privileges of an account, as they stand after `GRANT`."""
    return [
        *(f"SELECT, SHOW ON {database}.{name}" for name in list_readable(reader)),
        *(("SELECT ON system.parts",) if reader == "grafana" else ()),
    ]
