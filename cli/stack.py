"""`pravah up`, `pravah down` and `pravah status`: the stack on this machine."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from cli.language import say
from cli.tables import AsPlain, Column, print_table

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
SERVER_COLUMNS = (
    Column("server", "key"),
    Column("address", "key"),
    Column("process", "key", rank=1),
    Column("memory", "number"),
    Column("since", "day"),
    Column("log", rank=2),
)
_KOLKATA = ZoneInfo("Asia/Kolkata")


def up() -> None:
    """Start Kafka and ClickHouse and prepare them.

    Creates topics and schema, loads registry, plan and metric dictionary, and prints the addresses.
    Data stays in PRAVAH_HOME between runs. With PRAVAH_KAFKA__BOOTSTRAP_SERVERS and
    PRAVAH_CLICKHOUSE__HOST set, servers elsewhere are used, and only prepared.
    """
    import stack
    from cli.progress import print_next, steps
    from operations.bootstrap import prepare
    from pravah.settings import Settings

    settings = Settings()
    with steps("starting") as say:
        if stack.is_embedded():
            stack.up(settings.home, say)
            settings = Settings()
        prepare(settings, say)
    typer.echo(
        f"ready: Kafka {settings.kafka.bootstrap_servers}, ClickHouse "
        f"{settings.clickhouse.host}:{settings.clickhouse.native_port}"
    )
    print_next(
        ("pravah worker", "rolls events up; in a terminal of its own"),
        ("pravah simulate", "sends a made-up campaign up to today; `pravah down` stops all"),
    )


def down() -> None:
    """Stop Kafka and ClickHouse; their data stay."""
    import stack
    from cli.progress import progress
    from pravah.settings import Settings

    with progress("stopping Kafka and ClickHouse", None):
        is_stopped = stack.down(Settings().home)
    typer.echo("stopped" if is_stopped else "nothing was running")


def status(*, as_json: AsJson = False, plain: AsPlain = False) -> None:
    """Show the servers and how far figures are behind the log.

    Prints address, memory and log of each server, and how many records are in the figures.
    Exit 1 if the stack is down, or a server does not answer.
    """
    import orjson

    import stack
    from pravah.settings import Settings
    from sinks.connection import connect, first_line
    from sinks.lag import Lag

    settings = Settings()
    now = stack.status(settings.home)
    ready = now.is_ready or not stack.is_embedded()
    position = None
    problem = ""
    if ready:
        try:
            with (
                connect(settings.clickhouse, "writer") as client,
                Lag(settings.kafka, client) as lag,
            ):
                position = lag.position()
        except Exception as error:  # noqa: BLE001
            problem = first_line(error)
    if as_json:
        servers = [{**asdict(server), "log": str(server.log)} for server in now.servers]
        figures = None if position is None else {**asdict(position), "behind": position.behind}
        typer.echo(
            orjson.dumps(
                {
                    "home": str(now.home),
                    "ready": ready,
                    "servers": servers,
                    "figures": figures,
                    "problem": problem or None,
                }
            ).decode()
        )
        raise typer.Exit(0 if ready and not problem else 1)
    if now.servers:
        rows = [
            (
                server.name,
                server.address,
                str(server.pid),
                f"{server.memory >> 20} MiB",
                f"{datetime.fromtimestamp(server.since, _KOLKATA):%Y-%m-%d %H:%M}",
                str(server.log),
            )
            for server in now.servers
        ]
        print_table(SERVER_COLUMNS, rows, plain=plain)
    elif stack.is_embedded():
        say(
            f"{settings.home} में कुछ नहीं चल रहा; `pravah up` शुरू करता है",
            f"no stack runs in {settings.home}; `pravah up` starts one",
        )
    if position is not None and not plain:
        say(
            f"{position.end:,} में से {position.durable:,} रिकॉर्ड आँकड़ों में हैं, "
            f"{position.behind:,} अभी नहीं",
            f"{position.durable:,} of {position.end:,} records are in the figures, "
            f"{position.behind:,} are not yet",
        )
    if problem:
        typer.echo(f"figures: {problem}", err=plain)
    raise typer.Exit(0 if ready and not problem else 1)
