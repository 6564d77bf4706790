"""`pravah gateway`: takes what field tools send, says what came and what was refused, and sends again.

| module | commands |
| --- | --- |
| `serve` | without a subcommand, or `serve` |
| `status` | `status` |
| `rejected` | `rejected list`, `show`, `send`, `drop`; `replay` |
| `check` | `check` |
| `pull` | `pull`, `reconcile` |
"""

import typer

gateway = typer.Typer(help="Take what field tools send (without a subcommand); say what came, what was refused and who is silent.")
