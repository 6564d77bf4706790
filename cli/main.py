"""The command `pravah`: the table of its commands, and errors as one line with an exit code."""

import os
import sys
from typing import Any

import typer

from cli.language import InLanguage, select_language
from cli.lazy import CommandSpec, LazyGroup

COMMANDS = {
    "up": CommandSpec("cli.stack:up", "stack", "Start Kafka and ClickHouse and prepare them."),
    "down": CommandSpec("cli.stack:down", "stack", "Stop Kafka and ClickHouse; their data stay."),
    "status": CommandSpec(
        "cli.stack:status", "stack", "Show the servers and how far figures are behind the log."
    ),
    "demo": CommandSpec("cli.demo:demo", "stack", "Run the 2022 campaign from end to end."),
    "worker": CommandSpec("cli.worker_command:worker", "worker", "Roll events up until a signal."),
    "emit": CommandSpec("cli.emit:emit", "cli", "Send events from JSON lines."),
    "import": CommandSpec(
        "cli.import_file:import_file", "cli", "Send the rows of a CSV or XLSX file as events."
    ),
    "simulate": CommandSpec(
        "cli.simulate:simulate_command", "stack", "Send the events of a simulated campaign."
    ),
    "units": CommandSpec("cli.units:units", "stack", "Check, load, show and move units."),
    "plan": CommandSpec("cli.plan:plan", "stack", "Load the plan; show progress and defaulters."),
    "watch": CommandSpec(
        "cli.watch:watch", "stack", "Show silent units, unusual values, completeness and members."
    ),
    "backcheck": CommandSpec(
        "cli.backcheck:backcheck", "stack", "Draw samples to verify and enter the outcomes."
    ),
    "report": CommandSpec("cli.report:report", "report", "Write the situation report of a unit."),
    "reconcile": CommandSpec(
        "cli.reconcile:reconcile", "stack", "Recount every figure from the ledger and compare."
    ),
    "explain": CommandSpec("cli.explain:explain", "stack", "Show the events behind a figure."),
    "rebuild": CommandSpec(
        "cli.rebuild:rebuild", "stack,worker", "Rebuild the figures from the log or the ledger."
    ),
    "replay": CommandSpec("cli.replay:replay", "stack", "Send rejected records again."),
    "doctor": CommandSpec("cli.doctor:doctor", "all", "Check the whole deployment."),
    "gateway": CommandSpec(
        "cli.gateway:gateway", "gateway", "Serve the hooks of field tools and POST /v1/events."
    ),
    "api": CommandSpec("cli.api:api", "api", "Serve the AICC's API; manage its tokens."),
    "pull": CommandSpec("cli.pull:pull", "replica", "Keep a copy of the figures of many states."),
    "grafana": CommandSpec(
        "cli.grafana:grafana", "grafana", "Build and provision dashboards and alerts."
    ),
}


# clickhouse-driver fills its table of all days from 1900 to 2299 as they occur, not at the start of
# every command: a third of the start.
os.environ.setdefault("CLICKHOUSE_DRIVER_LASY_DATE_LUT", "1")


class _Commands(LazyGroup):
    specs = COMMANDS


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Pravah: activity of a party's units, from the booth to national headquarters, "
    "in exact figures.",
)


@app.callback()
def _root(*, lang: InLanguage = None) -> None:
    select_language(lang)


def main() -> None:
    """Run a command. An error of the user's is one line: exit 1 for a finding, 2 for wrong use."""
    try:
        app(prog_name="pravah")
    except Exception as error:
        message, code = _explain(error)
        if not code:
            raise
        typer.echo(f"error: {message}", err=True)
        sys.exit(code)


def _explain(error: Exception) -> tuple[str, int]:
    """Return the message and the exit code for an error; 0 if it is a defect of Pravah's.

    Drivers are not imported here: a class whose module is not loaded has raised nothing.
    """
    if _is_a(error, "pydantic", "ValidationError"):
        return _settings_message(error), 2
    if _is_a(error, "schemas.unit_names", "UnknownNameError"):
        return str(error), 2
    if isinstance(error, LookupError) or any(
        _is_a(error, module, name)
        for module, name in (("pravah.errors", "PravahError"), ("kafka.errors", "KafkaError"))
    ):
        return str(error), 1
    connection = sys.modules.get("sinks.connection")
    if connection.is_retryable(error) if connection else isinstance(error, EOFError | OSError):
        cause = connection.first_line(error) if connection else f"{type(error).__name__}: {error}"
        return (
            f"a server does not answer ({cause}); "
            "`pravah status` shows which run, `pravah up` starts them"
        ), 1
    return "", 0


def _is_a(error: Exception, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)


def _settings_message(error: Any) -> str:
    return "; ".join(
        f"PRAVAH_{'__'.join(map(str, item['loc'])).upper()}: {item['msg']}"
        for item in error.errors(include_input=False)
    )


if __name__ == "__main__":
    main()
