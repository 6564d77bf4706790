"""`pravah simulate`: a believable campaign, to Kafka or to a file."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import read_day
from pravah.days import date_of, day_of_micros, instant_micros
from producers.simulator import Delivery, SimulationOptions

if TYPE_CHECKING:
    from schemas.registry import Registry

# Events a second that Chhattisgarh's booths send on average on busy days.
LIVE_SPEED = 14.0
# A live simulation begins this long ago, so that slow deliveries are already on their way.
WARM_UP = timedelta(hours=1)
# Shorter waits are added up, so that there are not too many.
MIN_SLEEP_SECONDS = 0.05

# Sends a delivery; returns False if it cannot be sent there.
Sink = Callable[[Delivery], bool]

_DEFAULTS = SimulationOptions()
Share = typer.Option(min=0.0, max=0.5, help="Share of the deliveries.")


def simulate_command(
    *,
    first: Annotated[
        date,
        typer.Option(
            "--from", metavar="DAY", parser=read_day, help="First day, such as 2022-02-01."
        ),
    ] = _DEFAULTS.first,
    last: Annotated[
        date,
        typer.Option(
            "--to",
            metavar="DAY",
            parser=read_day,
            help="Last day on which events occur; deliveries may arrive later.",
        ),
    ] = _DEFAULTS.last,
    events: Annotated[
        int, typer.Option(min=1, help="Number of deliveries, within 2 %.")
    ] = _DEFAULTS.events,
    seed: Annotated[
        int, typer.Option(help="Equal seeds and options give equal deliveries.")
    ] = _DEFAULTS.seed,
    state: Annotated[str, typer.Option(help="The state whose units report; IN for all.")] = "CG",
    speed: Annotated[
        float, typer.Option(min=0.0, help="Deliveries a second; 0 is as fast as possible.")
    ] = 0.0,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Events occur now, --speed a second (default 14), until Ctrl-C or tomorrow night.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Write JSON lines to this file (- is standard output), not to Kafka; deliveries "
                "that are no line of text are left out."
            )
        ),
    ] = None,
    repeats: Annotated[float, Share] = _DEFAULTS.repeats,
    corrections: Annotated[float, Share] = _DEFAULTS.corrections,
    retractions: Annotated[float, Share] = _DEFAULTS.retractions,
    broken: Annotated[float, Share] = _DEFAULTS.broken,
    late: Annotated[float, Share] = _DEFAULTS.late,
    wrong_key: Annotated[float, Share] = _DEFAULTS.wrong_key,
    registry: Annotated[
        list[Path] | None,
        typer.Option(
            help=(
                "Registry files (*.units.csv, *.parents.csv); default: those that come with Pravah."
            )
        ),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="A plan file; default: the one that comes with Pravah.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Send the events of a simulated campaign.

    The campaign follows the plan's deadlines, with stragglers and with late, repeated, corrected
    and broken deliveries. Prints how many of each sort were sent. The same seed and options give
    the same deliveries, so sending them again changes nothing.
    """
    from pydantic import ValidationError

    import reference
    from cli.progress import progress
    from operations.registry import read_registry_files
    from producers.simulator import simulate
    from schemas.plan import Plan

    now = datetime.now(UTC)
    shares = {
        "repeats": repeats,
        "corrections": corrections,
        "retractions": retractions,
        "broken": broken,
        "late": late,
        "wrong_key": wrong_key,
    }
    units = read_registry_files(registry or reference.registry_files())
    state = _find_state(units, state)
    try:
        span = (
            _live_options(now, speed or LIVE_SPEED)
            if live
            else {
                "first": first,
                "last": last,
                "events": events,
            }
        )
        options = SimulationOptions.model_validate(
            {"seed": seed, "state": None if state == "IN" else state, **span, **shares}
        )
    except ValidationError as error:
        msg = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}".removeprefix(": Value error, ")
            for item in error.errors()
        )
        raise typer.BadParameter(msg) from None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from / --to") from None
    programme = Plan.from_toml((plan or reference.plan_file()).read_text(encoding="utf-8"))
    counts: Counter[str] = Counter()
    pace = _wait_until_due if live else _steady_pace(speed)
    ends_live = suppress(KeyboardInterrupt) if live else nullcontext()
    with (
        _sink(out) as sink,
        progress("simulating", options.events, quiet=str(out) == "-") as advance,
        ends_live,
    ):
        for delivery in simulate(units, programme, options):
            if live and delivery.sent_at < now:
                advance(1)
                continue
            pace(delivery)
            counts[delivery.sort if sink(delivery) else "left out"] += 1
            advance(1, f"{delivery.sent_at:%Y-%m-%d}")
    _print_result(counts, as_json=as_json, err=str(out) == "-")


def _find_state(registry: "Registry", text: str) -> str:
    from schemas.unit_names import UnknownNameError, find_unit_in

    try:
        code = find_unit_in(registry, text)
    except UnknownNameError as error:
        raise typer.BadParameter(error.detail, param_hint="'--state'") from None
    if registry.units[code].level not in {"national", "state"}:
        msg = f"{code} is a unit of the level {registry.units[code].level}, not a state"
        raise typer.BadParameter(msg, param_hint="'--state'")
    return code


def _live_options(now: datetime, speed: float) -> dict[str, object]:
    """Options of a simulation from about now until tomorrow night."""
    begin = now - WARM_UP
    first = day_of_micros(instant_micros(begin))
    end = datetime.combine(date_of(first + 2), datetime.min.time(), tzinfo=UTC) - timedelta(
        hours=5, minutes=30
    )
    events = max(1, round(speed * (end - begin).total_seconds()))
    return {
        "first": date_of(first),
        "last": date_of(first + 1),
        "begin": begin,
        "events": events,
        "steady": True,
    }


def _wait_until_due(delivery: Delivery) -> None:
    ahead = (delivery.sent_at - datetime.now(UTC)).total_seconds()
    if ahead > 0:
        time.sleep(ahead)


def _steady_pace(speed: float) -> Callable[[Delivery], None]:
    """Wait so that deliveries go out evenly, `speed` a second."""
    if not speed:
        return lambda _delivery: None
    start, sent = time.monotonic(), 0

    def pace(_delivery: Delivery) -> None:
        nonlocal sent
        ahead = start + sent / speed - time.monotonic()
        if ahead > (MIN_SLEEP_SECONDS if speed > 1 / MIN_SLEEP_SECONDS else 0):
            time.sleep(ahead)
        sent += 1

    return pace


@contextmanager
def _sink(out: Path | None) -> Iterator[Sink]:
    """Open Kafka or the file that deliveries go to."""
    from pravah.producer import EventProducer
    from pravah.settings import Settings

    if out is None:
        with EventProducer(Settings().kafka) as producer:

            def send(delivery: Delivery) -> bool:
                producer.send_raw(delivery.value, delivery.key)
                return True

            yield send
        return
    stream = sys.stdout.buffer if str(out) == "-" else out.open("wb")

    def write(delivery: Delivery) -> bool:
        value = delivery.value
        if not value or b"\n" in value or not _is_text(value):
            return False
        stream.write(value + b"\n")
        return True

    try:
        yield write
    finally:
        stream.flush()
        if stream is not sys.stdout.buffer:
            stream.close()


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _print_result(counts: Counter[str], *, as_json: bool, err: bool) -> None:
    """Print the counts; on standard error if standard output has the deliveries."""
    import orjson

    left_out = counts.pop("left out", 0)
    if as_json:
        typer.echo(
            orjson.dumps(
                {"deliveries": counts.total(), "left_out": left_out, "by_sort": dict(counts)}
            ).decode(),
            err=err,
        )
        return
    sorts = ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
    typer.echo(
        f"{counts.total():,} deliveries: {sorts}"
        + (f"; left out, being no text: {left_out:,}" if left_out else ""),
        err=err,
    )
