"""`pravah replay`: send mended rejects again, bring figures back from the log or the ledger, and say what of the log cannot be counted any more."""

import typer

from cli.replay.lost import lost
from cli.replay.rebuild import from_ledger, from_log
from cli.replay.rejected import rejected

replay = typer.Typer(
    no_args_is_help=True,
    help="Send mended rejects again; bring figures back from the log or the ledger.",
)
replay.command()(rejected)
replay.command("log")(from_log)
replay.command("ledger")(from_ledger)
replay.command()(lost)
