"""`pravah api`: serve the AICC API, and manage its tokens."""

import logging
import signal
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from cli.language import Words
from cli.options import AsJson, Unit, find_unit
from cli.tables import AsPlain, Column, print_table
from schemas.access import DATA_KINDS

api = typer.Typer(help="Serve the AICC API (without a subcommand), and manage its tokens.")
token = typer.Typer(no_args_is_help=True, help="Tokens: who may read what.")
api.add_typer(token, name="token")

REVOKED = Words("रद्द", "revoked")
AUDIT_FILE = "api-audit.jsonl"
TOKEN_COLUMNS = (
    Column("token", "key"),
    Column("unit", "key"),
    Column("kinds", rank=2),
    Column("created", "day", rank=1),
    Column("expires", "day"),
    Column("validity"),
)


@api.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    *,
    host: Annotated[
        str,
        typer.Option(
            help=(
                "Where to listen. Put a reverse proxy with TLS in front of it before it leaves this"
                " machine."
            )
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8_080,
) -> None:
    """Serve figures, plan and registry to headquarters, read-only, until a signal.

    Its paths are documented at `/docs`. Every request is logged in
    `$PRAVAH_HOME/logs/api-audit.jsonl`.
    """
    if context.invoked_subcommand is not None:
        return
    import uvicorn

    from api.app import build
    from api.audit import logger, open_log
    from pravah.listen import check_listen
    from pravah.settings import Settings

    settings = Settings()
    settings.clickhouse.account("aicc")  # without one there is nothing to serve
    check_listen(host, port, server="the API", remedy="Choose another --port or --host")
    log = settings.home / "logs" / AUDIT_FILE
    logger.addHandler(open_log(log))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # uvicorn shuts down in order, then raises the signal again
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    typer.echo(f"serving http://{host}:{port}/docs; requests are logged in {log}")
    uvicorn.run(
        build(settings),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )


@token.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who holds the token.")],
    *,
    unit: Unit = "IN",
    kind: Annotated[
        list[str], typer.Option(help=f"Kinds of data: {', '.join(DATA_KINDS)}; may be repeated.")
    ] = ["figures", "plan", "registry"],  # noqa: B006
    days: Annotated[int, typer.Option(min=1, max=3_660, help="Days until it expires.")] = 365,
) -> None:
    """Create a token and print its secret, which is not stored."""
    from pravah.settings import Settings
    from sinks.api_tokens import create_token
    from sinks.connection import connect

    unknown = sorted(set(kind) - set(DATA_KINDS))
    if unknown:
        msg = f"{', '.join(map(repr, unknown))}: kinds of data are {', '.join(DATA_KINDS)}"
        raise typer.BadParameter(msg, param_hint="'--kind'")
    with connect(Settings().clickhouse, "writer") as client:
        unit = find_unit(client, unit)
        secret = create_token(client, name=name, unit=unit, kinds=kind, days=days)
    typer.echo(
        f"token of {name}: {unit} and below, {', '.join(sorted(kind))}, for {days} days. It is"
        " shown this once:",
        err=True,
    )
    typer.echo(secret)


@token.command("list")
def show(*, as_json: AsJson = False, plain: AsPlain = False) -> None:
    """List all tokens ever created; their secrets are not stored."""
    import orjson

    from pravah.settings import Settings
    from sinks.api_tokens import tokens
    from sinks.connection import connect

    with connect(Settings().clickhouse, "writer") as client:
        found = tokens(client)
    if as_json:
        typer.echo(orjson.dumps([asdict(one) for one in found]).decode())
        return
    rows = [
        (
            one.name,
            one.unit,
            ", ".join(one.kinds),
            f"{one.created_at:%Y-%m-%d}",
            f"{one.expires_at:%Y-%m-%d}",
            REVOKED if one.revoked else "",
        )
        for one in found
    ]
    print_table(TOKEN_COLUMNS, rows, plain=plain)


@token.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="Who holds the token.")]) -> None:
    """Revoke a token; running servers refuse it within five seconds."""
    from pravah.settings import Settings
    from sinks.api_tokens import revoke_token
    from sinks.connection import connect

    with connect(Settings().clickhouse, "writer") as client:
        revoke_token(client, name)
    typer.echo(f"token of {name} revoked")
