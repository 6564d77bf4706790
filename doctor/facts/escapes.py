"""Facts about what ClickHouse accounts could come to. Tries it, and changes nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from clickhouse_driver import Client

from doctor.escapes import Kind, find_escapes, list_escapes
from pravah.settings import ClickHouseSettings, ClickHouseUser, Role

_KINDS: dict[Role, Kind] = {"writer": "writer", "grafana": "state", "aicc": "headquarters"}
# Files of a ClickHouse server's machine that hold secrets.
_FILES = ("/etc/passwd", "/etc/clickhouse-server/users.xml")
# Names of the home's files that do.
_HOME_FILES = ("credentials.json", "stack.json", "clickhouse/status")


def gather_escapes(
    clickhouse: ClickHouseSettings, home: Path | None
) -> Mapping[str, tuple[str, ...]]:
    """Try the escapes of every configured account.

    Args:
        clickhouse: connection settings.
        home: of the embedded server; None if the server is elsewhere.

    Returns:
        Account → attempts that were not refused.

    Raises:
        clickhouse_driver.errors.Error, OSError, EOFError: an account does not get in.
    """
    paths = (*_FILES, *(str(home / name) for name in _HOME_FILES if home is not None))
    found = {}
    for name, kind, account in _list_accounts(clickhouse):
        with Client(
            clickhouse.host,
            port=clickhouse.native_port,
            user=account.user,
            password=account.password.get_secret_value(),
            secure=clickhouse.secure,
            ca_certs=str(clickhouse.ca_file) if clickhouse.ca_file else None,
        ) as client:
            client.execute("SELECT 1")
            escapes = list_escapes(kind, clickhouse.database, paths)
            found[name] = tuple(find_escapes(client, escapes))
    return found


def _list_accounts(
    clickhouse: ClickHouseSettings,
) -> Iterator[tuple[str, Kind, ClickHouseUser]]:
    for role, account in clickhouse.users.items():
        yield role, _KINDS[role], account
    for unit, account in clickhouse.scoped.items():
        yield unit, "unit", account
