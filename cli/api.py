"""`pravah api`: serve the AICC's interface, and say who may use it."""

import logging
import signal
import sys
from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from pravah.settings import Settings
from schemas.access import DATA_KINDS
from sinks.api_tokens import create_token, revoke_token, tokens
from sinks.connection import connect
from streams.health import check_listen

api = typer.Typer(
    help="Serve the AICC's interface (without a subcommand), and give out tokens for it."
)
token = typer.Typer(no_args_is_help=True, help="Who may pull what.")
api.add_typer(token, name="token")

AUDIT_FILE = "api-audit.jsonl"


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
    """Serve figures, plan and defaulters to headquarters, read-only, until a signal.

    What it offers stands at `/docs`. Every pull is written to `$PRAVAH_HOME/logs/api-audit.jsonl`.
    """
    if context.invoked_subcommand is not None:
        return
    import uvicorn

    from api.app import build
    from api.audit import audit

    settings = Settings()
    check_listen(host, port)
    log = settings.home / "logs" / AUDIT_FILE
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    audit.addHandler(handler)
    audit.setLevel(logging.INFO)
    audit.propagate = False
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # uvicorn ends in good order, then hands the signal on
    typer.echo(f"serving http://{host}:{port}/docs; pulls are written to {log}")
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
    name: Annotated[str, typer.Argument(help="Who holds it.")],
    *,
    unit: Annotated[str, typer.Option(help="It and everything below it may be seen.")] = "IN",
    kind: Annotated[
        list[str], typer.Option(help=f"Kinds of data: {', '.join(DATA_KINDS)}; may be repeated.")
    ] = [
        "figures",
        "plan",
        "registry",
    ],  # noqa: B006
    days: Annotated[int, typer.Option(min=1, max=3_660, help="Until it expires.")] = 365,
) -> None:
    """Make a token and show its secret, this once."""
    with connect(Settings().clickhouse, "writer") as client:
        secret = create_token(client, name=name, unit=unit, kinds=kind, days=days)
    typer.echo(
        f"token of {name}: {unit} and below, {', '.join(sorted(kind))}, for {days} days. It is"
        " shown this once:",
        err=True,
    )
    typer.echo(secret)


@token.command("list")
def show(
    *, as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False
) -> None:
    """Show all tokens that were ever given out; their secrets are kept nowhere."""
    with connect(Settings().clickhouse, "writer") as client:
        found = tokens(client)
    if as_json:
        typer.echo(orjson.dumps([asdict(one) for one in found]).decode())
        return
    table = Table("name", "unit", "kinds", "created", "expires", "")
    for one in found:
        table.add_row(
            one.name,
            one.unit,
            ", ".join(one.kinds),
            f"{one.created_at:%Y-%m-%d}",
            f"{one.expires_at:%Y-%m-%d}",
            "revoked" if one.revoked else "",
        )
    Console().print(table)


@token.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="Who holds it.")]) -> None:
    """Make a token invalid; running servers follow within five seconds."""
    with connect(Settings().clickhouse, "writer") as client:
        revoke_token(client, name)
    typer.echo(f"token of {name} revoked")
