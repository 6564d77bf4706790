"""The application: every command, and errors told as one line with an exit code."""

import sys

import typer
from kafka.errors import KafkaError
from pydantic import ValidationError

from cli import stack as stack_commands
from cli.api import api
from cli.backcheck import backcheck
from cli.demo import demo
from cli.emit import emit
from cli.explain import explain
from cli.gateway import gateway
from cli.grafana import grafana
from cli.import_file import import_file
from cli.plan import plan
from cli.pull import pull
from cli.reconcile import reconcile
from cli.replay import replay
from cli.report import report
from cli.simulate import simulate_command
from cli.units import units
from cli.watch import watch
from cli.worker import worker
from doctor.doctor import doctor
from pravah.errors import PravahError
from producers.gateway.sources import FieldSourcesError
from replica.sources import SourcesError
from sinks.connection import first_line, is_retryable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Pravah: activity of a party's units, from the booth to national headquarters, in exact figures.",
)
for command in (
    stack_commands.up,
    stack_commands.down,
    stack_commands.status,
    demo,
    worker,
    emit,
    reconcile,
    explain,
    doctor,
):
    app.command()(command)
app.command("import")(import_file)
app.command()(pull)
app.command()(report)
app.command("simulate")(simulate_command)
app.add_typer(units, name="units")
app.add_typer(plan, name="plan")
app.add_typer(watch, name="watch")
app.add_typer(backcheck, name="backcheck")
app.add_typer(api, name="api")
app.add_typer(gateway, name="gateway")
app.add_typer(replay, name="replay")
app.add_typer(grafana, name="grafana")


def main() -> None:
    """Run a command. What a person can mend is told in one line, without a traceback: exit 1 for findings, 2 for wrong use."""
    try:
        app()
    except ValidationError as error:
        wrong = "; ".join(
            f"PRAVAH_{'__'.join(map(str, item['loc'])).upper()}: {item['msg']}"
            for item in error.errors(include_input=False)
        )
        sys.exit(_told(wrong, 2))
    except (PravahError, SourcesError, FieldSourcesError, LookupError, KafkaError) as error:
        sys.exit(_told(error, 1))
    except Exception as error:
        if not is_retryable(error):
            raise
        sys.exit(
            _told(
                f"a server does not answer ({first_line(error)}); `pravah status` shows what runs, `pravah up` starts it",
                1,
            )
        )


def _told(error: object, code: int) -> int:
    typer.echo(f"error: {error}", err=True)
    return code


if __name__ == "__main__":
    main()
