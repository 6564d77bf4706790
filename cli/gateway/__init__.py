"""`pravah gateway`: takes what field tools send, says what came and what was refused, and sends again.

| module | commands |
| --- | --- |
| `serve` | without a subcommand |
| `status` | `status` |
| `rejected` | `rejected list`, `show`, `send`, `drop`; `replay` |
| `check` | `check` |
| `pull` | `pull`, `reconcile` |
"""

import typer

from cli.gateway.check import check
from cli.gateway.pull import pull, reconcile
from cli.gateway.rejected import rejected, replay
from cli.gateway.serve import serve
from cli.gateway.status import status

gateway = typer.Typer(
    help="Take what field tools send (without a subcommand); say what came, what was refused and who is silent."
)
gateway.callback(invoke_without_command=True)(serve)
gateway.command()(check)
gateway.command()(status)
gateway.add_typer(rejected, name="rejected")
gateway.command()(replay)
gateway.command()(pull)
gateway.command()(reconcile)
