"""`pravah grafana`: provision dashboards and alerts, and the accounts of data sources."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.language import current_language
from cli.options import AsJson, find_unit
from grafana.audiences import AudienceName

if TYPE_CHECKING:
    from grafana.desired import DesiredState
    from grafana.notifications import Contacts
    from grafana.provisioning import Change, GrafanaServer
    from pravah.settings import Settings

grafana = typer.Typer(
    no_args_is_help=True,
    help=(
        "Dashboards and alerts as code: build them, provision a Grafana, and show what was changed"
        " there by hand."
    ),
)

Url = Annotated[
    str,
    typer.Option(
        help=(
            "Address of the Grafana. Put the token into PRAVAH_GRAFANA_TOKEN, not into the command:"
            " a process list would show it."
        )
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Read the token from this file instead; - is standard input.",
    ),
]
Organisation = Annotated[
    str | None,
    typer.Option(
        "--org",
        help=(
            "Organisation to provision, created if it does not exist. Needs PRAVAH_GRAFANA_USER and"
            " PRAVAH_GRAFANA_PASSWORD of the administrator instead of a token."
        ),
    ),
]
Audience = Annotated[
    AudienceName,
    typer.Option("--audience", help="Viewers: decides which dashboards, and whose account."),
]
Unit = Annotated[
    str | None,
    typer.Option(
        help=(
            "A unit with an account of its own (`pravah grafana accounts`), such as CG-D-RPR; a"
            " district's viewers need one."
        )
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        "--clickhouse-host",
        help="Host of ClickHouse as Grafana reaches it, if it differs from ours.",
    ),
]
Port = Annotated[
    int | None,
    typer.Option("--clickhouse-port", min=1, max=65_535, help="Its native port."),
]
Prometheus = Annotated[
    str | None,
    typer.Option(
        help="Address of a Prometheus that scrapes workers and gateway, as Grafana reaches it."
    ),
]


@grafana.command()
def build(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if something would change.")
    ] = False,
) -> None:
    """Lint the dashboards and write their JSON from their builders; exit 1 if the lint fails."""
    from grafana.build import GENERATED, dashboards, generated_files, write_generated
    from grafana.lint import lint_dashboards

    found = lint_dashboards(dashboards())
    for one in found:
        typer.echo(one)
    if found:
        raise typer.Exit(1)
    if check:
        differ = [
            str(path)
            for path, text in generated_files()
            if not (GENERATED / path).exists()
            or (GENERATED / path).read_text(encoding="utf-8") != text
        ]
        typer.echo("\n".join(differ) or "as built")
        raise typer.Exit(int(bool(differ)))
    changed = write_generated()
    typer.echo("\n".join(str(path) for path in changed) or "nothing changed")


@grafana.command()
def provision(
    url: Url,
    *,
    audience: Audience = "state",
    unit: Unit = None,
    org: Organisation = None,
    token_file: TokenFile = None,
    clickhouse_host: Host = None,
    clickhouse_port: Port = None,
    prometheus: Prometheus = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Provision a Grafana: data source, folder, dashboards and alerts.

    Safe to repeat: only what differs is changed.
    """
    import orjson

    from cli.progress import progress
    from grafana.desired import AUDIENCES
    from grafana.notifications import Contacts
    from pravah.settings import Settings

    settings = Settings()
    resources = _desired_state(
        settings, audience, unit, clickhouse_host, clickhouse_port, prometheus
    ).resources()
    server = _server(settings, url, org, token_file)
    with progress(f"comparing with {url}", None):
        changes = server.changes(resources)
    if not dry_run:
        with progress(f"provisioning {url}", len(changes)) as advance:
            for change in changes:
                server.apply(change)
                advance(1, str(change.resource))
    if as_json:
        items = [
            {"kind": one.resource.kind, "uid": one.resource.uid, "change": one.verb}
            for one in changes
        ]
        typer.echo(
            orjson.dumps(
                {
                    "url": url,
                    "dry_run": dry_run,
                    "as_it_was": len(resources) - len(changes),
                    "changes": items,
                }
            ).decode()
        )
        return
    for change in changes:
        done = (
            f"would {change.verb}"
            if dry_run
            else {"make": "made", "change": "changed"}[change.verb]
        )
        typer.echo(f"{done}: {change.resource}{f' ({change.why})' if change.why else ''}")
    typer.echo(f"{len(resources) - len(changes)} of {len(resources)} were as they should be")
    if AUDIENCES[audience].alerts and not Contacts.of(settings).names:
        typer.echo(
            "no contact point is set (PRAVAH_ALERT_WEBHOOK, PRAVAH_ALERT_EMAIL,"
            " PRAVAH_ALERT_TELEGRAM_TOKEN and _CHAT): alerts are shown in Grafana only"
        )
    if dry_run:
        typer.echo("nothing was changed: the same without --dry-run does it", err=True)
        return
    first = next(one.uid for one in resources if one.kind == "dashboard")
    typer.echo(f"next: open {url.rstrip('/')}/d/{first}", err=True)


@grafana.command()
def diff(
    url: Url,
    *,
    audience: Audience = "state",
    unit: Unit = None,
    org: Organisation = None,
    token_file: TokenFile = None,
    clickhouse_host: Host = None,
    clickhouse_port: Port = None,
    prometheus: Prometheus = None,
) -> None:
    """Show how a Grafana differs from what it should have; exit 1 if it does."""
    from pravah.settings import Settings

    settings = Settings()
    desired = _desired_state(settings, audience, unit, clickhouse_host, clickhouse_port, prometheus)
    changes = _server(settings, url, org, token_file).changes(desired.resources())
    _print_diff(changes)
    raise typer.Exit(int(bool(changes)))


@grafana.command()
def pull(
    url: Url,
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Write each dashboard that was changed by hand here, as Grafana has it.",
        ),
    ],
    *,
    audience: Audience = "state",
    org: Organisation = None,
    token_file: TokenFile = None,
) -> None:
    """Fetch dashboards that were changed by hand, and show how they differ from their builders.

    Exit 1 if there is any.
    """
    from pydantic import SecretStr

    from grafana.build import dump_json
    from grafana.desired import DesiredState
    from pravah.settings import ClickHouseUser, Settings

    settings = Settings()
    nobody = ClickHouseUser(user="", password=SecretStr(""))  # dashboards do not need it
    dashboards = [
        one
        for one in DesiredState(
            audience, settings.clickhouse, nobody, lang=current_language()
        ).resources()
        if one.kind == "dashboard"
    ]
    changed = [
        change
        for change in _server(settings, url, org, token_file).changes(dashboards)
        if change.actual is not None
    ]
    to.mkdir(parents=True, exist_ok=True)
    for change in changed:
        (to / f"{change.resource.uid}.json").write_text(dump_json(change.actual), encoding="utf-8")
    _print_diff(changed)
    typer.echo(
        f"{len(changed)} of {len(dashboards)} dashboards were changed by"
        f" hand{f'; written to {to}' if changed else ''}"
    )
    raise typer.Exit(int(bool(changed)))


@grafana.command()
def files(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Grafana's provisioning folder.")],
    *,
    audience: Audience = "state",
    unit: Unit = None,
    clickhouse_host: Host = None,
    clickhouse_port: Port = None,
    prometheus: Prometheus = None,
    dashboards_path: Annotated[
        str, typer.Option(help="Where Grafana finds DIR/dashboards/json.")
    ] = "/etc/grafana/provisioning/dashboards/json",
) -> None:
    """Write provisioning files for a Grafana that reads them from disk.

    Secrets stay in its environment: PRAVAH_CLICKHOUSE_PASSWORD, and PRAVAH_ALERT_… if they are set
    here.
    """
    from grafana.files import provisioning_files, write_files
    from grafana.notifications import Contacts
    from pravah.settings import Settings

    settings = Settings()
    desired = _desired_state(
        settings,
        audience,
        unit,
        clickhouse_host,
        clickhouse_port,
        prometheus,
        contacts=Contacts.by_name(settings),
    )
    changed = write_files(provisioning_files(desired, dashboards_path), to)
    typer.echo("\n".join(str(to / path) for path in changed) or "nothing changed")


@grafana.command()
def accounts(
    units: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[UNIT]...",
            help="Units whose viewers may see no other rows, such as CG-D-RPR.",
        ),
    ] = None,
    *,
    sql: Annotated[
        bool,
        typer.Option(
            "--sql",
            help=("Print statements for a ClickHouse of your own instead; replace each password."),
        ),
    ] = False,
) -> None:
    """Create ClickHouse accounts that see the rows of one unit only, whatever they query.

    Creates them in the embedded stack; for another server use --sql.
    """
    import stack
    from grafana.accounts import account_statements
    from pravah.settings import Settings

    settings = Settings()
    units = [_find_unit(settings, unit, "UNIT") for unit in units or []]
    if sql:
        for unit in units:
            typer.echo(
                "\n".join(
                    account_statements(
                        unit, settings.clickhouse.database, settings.clickhouse.cluster
                    )
                )
            )
        return
    for unit in units:
        known = stack.scoped_account(settings.home, unit)
        hint = "" if known else ", from the next start on: `pravah down`, `pravah up`"
        typer.echo(f"{unit}: account pravah_{unit}{hint}")
    for unit in sorted(settings.clickhouse.scoped.keys() - set(units)):
        typer.echo(f"{unit}: account {settings.clickhouse.scoped[unit].user}")


def _find_unit(settings: "Settings", text: str, option: str) -> str:
    """The code of a unit; not looked up in a registry if no ClickHouse answers."""
    from clickhouse_driver.errors import Error as DriverError

    from schemas.unit_names import parse_code
    from sinks.connection import connect

    if settings.clickhouse.users:
        with (
            suppress(DriverError, OSError, EOFError),
            connect(settings.clickhouse, "grafana") as client,
        ):
            return find_unit(client, text, option)
    code = parse_code(text)
    if code is None:
        msg = f"{text!r} is no unit code; one is written CG-D-RPR"
        raise typer.BadParameter(msg, param_hint=f"'{option}'")
    return code


def _desired_state(
    settings: "Settings",
    audience: AudienceName,
    unit: str | None,
    host: str | None,
    port: int | None,
    prometheus: str | None,
    contacts: "Contacts | None" = None,
) -> "DesiredState":
    from grafana.desired import DesiredState
    from grafana.notifications import Contacts

    clickhouse = settings.clickhouse
    if audience == "district" and unit is None:
        msg = "--unit: which district? Its account decides what its viewers see"
        raise typer.BadParameter(msg)
    if unit is not None and unit not in clickhouse.scoped:
        unit = _find_unit(settings, unit, "--unit")
        if unit not in clickhouse.scoped:
            msg = f"no ClickHouse account for {unit}: `pravah grafana accounts {unit}` makes one"
            raise typer.BadParameter(msg, param_hint="'--unit'")
    account = (
        clickhouse.account("aicc" if audience == "aicc" else "grafana")
        if unit is None
        else clickhouse.scoped[unit]
    )
    as_seen = clickhouse.model_copy(
        update={"host": host or clickhouse.host, "native_port": port or clickhouse.native_port}
    )
    return DesiredState(
        audience,
        as_seen,
        account,
        contacts or Contacts.of(settings),
        prometheus,
        current_language(),
    )


def _server(
    settings: "Settings", url: str, org: str | None, token_file: Path | None
) -> "GrafanaServer":
    from grafana.client import GrafanaError
    from grafana.provisioning import GrafanaServer

    if token_file:
        token = (
            typer.get_text_stream("stdin").read()
            if str(token_file) == "-"
            else token_file.read_text(encoding="utf-8")
        ).strip()
        return GrafanaServer(url, token, organisation=org)
    if settings.grafana_user and settings.grafana_password:
        return GrafanaServer(
            url,
            (settings.grafana_user, settings.grafana_password.get_secret_value()),
            organisation=org,
        )
    if not settings.grafana_token:
        msg = (
            "no token: set PRAVAH_GRAFANA_TOKEN, or give --token-file, or set the"
            " administrator's PRAVAH_GRAFANA_USER and PRAVAH_GRAFANA_PASSWORD"
        )
        raise GrafanaError(msg)
    return GrafanaServer(url, settings.grafana_token.get_secret_value(), organisation=org)


def _print_diff(changes: "Sequence[Change]") -> None:
    for change in changes:
        state = "is missing" if change.actual is None else "differs"
        reason = f" ({change.why})" if change.why else ""
        typer.echo(f"{change.resource}: {state}{reason}")
        if change.actual is not None:
            for line in change.diff():
                typer.secho(line, fg={"+": typer.colors.GREEN, "-": typer.colors.RED}.get(line[:1]))
