"""`pravah simulate`: a believable campaign, to Kafka or to a file."""

import shlex
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
from pravah.days import KOLKATA, date_of, day_of_micros, instant_micros
from producers.simulator import Delivery, SimulationOptions

if TYPE_CHECKING:
    from operations.campaign import Campaign
    from producers.simulator.persons import OfficeHolders
    from schemas.registry import Registry

# Days of a campaign.
DAYS = 120
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
        date | None,
        typer.Option(
            "--from",
            metavar="DAY",
            parser=read_day,
            help=f"First day, such as 2022-02-01; default: {DAYS} days before the last.",
        ),
    ] = None,
    last: Annotated[
        date | None,
        typer.Option(
            "--to",
            metavar="DAY",
            parser=read_day,
            help="Last day on which events occur; default: today. Nothing is sent that would "
            "arrive later than now.",
        ),
    ] = None,
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
            help="Registry files (*.units.csv, *.parents.csv); default: the deployment's registry, "
            "with --out that of Pravah."
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            help="A plan file that the campaign follows; default: the one that comes with Pravah, "
            "with deadlines around --to if it is of another year."
        ),
    ] = None,
    events_only: Annotated[
        bool,
        typer.Option(
            "--events-only", help="Load no plan, no contacts, and no split of a district."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Send the events of a simulated campaign, by default one that is in its middle today.

    The campaign follows the plan's deadlines, with stragglers and with late, repeated, corrected
    and broken deliveries. Prints how many of each sort were sent. The same seed and options give
    the same deliveries, so sending them again changes nothing.

    A campaign of another year than the plan's also gets a plan of its days, made-up persons to
    call, and a district that splits; some districts are ahead, some behind, some silent. A plan, a
    registry or contacts of your own are left as they are.
    """
    from cli.progress import progress
    from producers.simulator import simulate
    from producers.simulator.persons import OfficeHolders

    now = datetime.now(UTC)
    shares = {
        "repeats": repeats,
        "corrections": corrections,
        "retractions": retractions,
        "broken": broken,
        "late": late,
        "wrong_key": wrong_key,
    }
    units = _read_registry(registry)
    state = _find_state(units, state)
    last = last or now.astimezone(KOLKATA).date()
    span = (
        _live_options(now, speed or LIVE_SPEED)
        if live
        else {"first": first or last - timedelta(days=DAYS), "last": last, "events": events}
    )
    options = _check_options(
        {"seed": seed, "state": None if state == "IN" else state, **span, **shares}
    )
    if out is None:
        _check_target()
    is_prepared = out is None and not events_only
    campaign = _choose_campaign(
        options, units if registry or out else None, plan, is_prepared=is_prepared
    )
    counts: Counter[str] = Counter()
    holders = OfficeHolders()
    pace = _wait_until_due if live else _steady_pace(speed)
    ends_live = suppress(KeyboardInterrupt) if live else nullcontext()
    with (
        _sink(out) as sink,
        progress("simulating", options.events) as advance,
        ends_live,
    ):
        for delivery in simulate(campaign.registry, campaign.plan, options, campaign.paces):
            if live and delivery.sent_at < now:
                advance(1)
                continue
            if not live and delivery.sent_at > now:
                break  # it has not arrived yet
            pace(delivery)
            counts[delivery.sort if sink(delivery) else "left out"] += 1
            holders.note(delivery)
            advance(1, f"{counts.total():,} deliveries, up to {delivery.sent_at:%Y-%m-%d}")
    if is_prepared:
        _load_contacts(holders, seed)
    _print_result(counts, as_json=as_json, err=str(out) == "-")
    if not as_json:
        _print_next(out, campaign, options)


def _check_target() -> None:
    """Refuse to send where no stack runs: Kafka's usual port may be that of somebody else's.

    Raises:
        LookupError: no stack runs in this home, and no servers elsewhere are named.
    """
    import stack
    from pravah.settings import Settings

    if stack.is_embedded():
        Settings().clickhouse.account("writer")


def _read_registry(files: list[Path] | None) -> "Registry":
    import reference
    from operations.registry_files import read_registry_files

    return read_registry_files(files or reference.registry_files())


def _check_options(given: dict[str, object]) -> SimulationOptions:
    from pydantic import ValidationError

    try:
        return SimulationOptions.model_validate(given)
    except ValidationError as error:
        msg = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}".removeprefix(": Value error, ")
            for item in error.errors()
        )
        raise typer.BadParameter(msg) from None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from / --to") from None


def _choose_campaign(
    options: SimulationOptions,
    registry: "Registry | None",
    plan_file: Path | None,
    *,
    is_prepared: bool,
) -> "Campaign":
    """Choose the units and the plan of the campaign.

    Args:
        options: of the simulation.
        registry: its units; None: those of the deployment.
        plan_file: of `--plan`.
        is_prepared: whether the deployment gets the campaign's plan and split.
    """
    from cli.progress import steps
    from operations.campaign import install_campaign, make_campaign
    from operations.registry import current_registry
    from pravah.settings import Settings
    from schemas.plan import Plan

    settings = Settings()
    plan = None if plan_file is None else Plan.from_toml(plan_file.read_text(encoding="utf-8"))
    if plan is None and is_prepared:
        with steps("preparing the campaign") as say:
            return install_campaign(settings, options, say, registry)
    return make_campaign(registry or current_registry(settings), options, plan)


def _load_contacts(holders: "OfficeHolders", seed: int) -> None:
    from operations.campaign import install_contacts
    from pravah.settings import Settings

    settings = Settings()
    if "writer" not in settings.clickhouse.users:
        return  # Kafka alone is known here
    install_contacts(settings, holders.make_contacts(seed), lambda text: typer.echo(text, err=True))


def _print_next(out: Path | None, campaign: "Campaign", options: SimulationOptions) -> None:
    from cli.progress import print_next

    if out is not None:
        if str(out) != "-":
            print_next((f"pravah emit {shlex.quote(str(out))}", "sends the file's events"))
        return
    at = "" if campaign.is_dated else f" --date {options.last}"
    print_next(
        ("pravah status", "how many are in the figures"),
        (f"pravah plan status{at}", "where the programme stands"),
        (f"pravah plan defaulters{at}", "who is overdue, and whom to call"),
        (f"pravah report{at}", "the situation on one page"),
    )


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
