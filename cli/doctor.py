"""`pravah doctor`: check this deployment, and say how to correct what is wrong."""

import logging
from dataclasses import asdict
from typing import Annotated

import typer

# Columns of the table when it goes to a file or a pipe.
_WIDE = 160


def doctor(
    *,
    escapes: Annotated[
        bool,
        typer.Option(
            "--escapes",
            help="Also try, as each ClickHouse account, what must be refused.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Check this deployment, and print a remedy for each problem. Changes nothing.

    It looks at Kafka, its topics and newest records; ClickHouse, its accounts and tables; registry
    and metric dictionary; the gateway, if one is set up or has run on this home; settings.
    Exit 1 if there is a failure; warnings are worth a look.
    """
    import orjson
    from rich.console import Console

    from doctor import diagnose, gather, render, summary
    from pravah.settings import Settings
    from stack.control import is_embedded

    # An unreachable server is reported as a check, not as a driver's traceback.
    for driver in ("clickhouse_driver", "kafka"):
        logging.getLogger(driver).setLevel(logging.CRITICAL)
    checks = diagnose(gather(Settings(), embedded=is_embedded(), escapes=escapes))
    if as_json:
        typer.echo(orjson.dumps([asdict(check) for check in checks]).decode())
    else:
        console = Console()
        if not console.is_terminal:
            console = Console(width=_WIDE)
        console.print(render(checks))
        console.print(summary(checks), highlight=False)
    raise typer.Exit(1 if any(check.verdict == "failure" for check in checks) else 0)
