"""`pravah gateway`: the HTTP service, and the commands around it.

Without a subcommand, `serve` runs the service. Each module has the commands of its name; `rejected`
has `replay` and `pull` has `reconcile` as well. They may import everything; start with `serve`.
"""

import typer

from cli.gateway.check import check
from cli.gateway.pull import pull, reconcile
from cli.gateway.rejected import rejected, replay
from cli.gateway.serve import serve
from cli.gateway.status import status

gateway = typer.Typer(
    help="Run the gateway (without a subcommand); show what came, what was refused, who is silent."
)
gateway.callback(invoke_without_command=True)(serve)
gateway.command()(check)
gateway.command()(status)
gateway.add_typer(rejected, name="rejected")
gateway.command()(replay)
gateway.command()(pull)
gateway.command()(reconcile)
