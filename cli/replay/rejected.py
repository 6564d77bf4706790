"""`pravah replay rejected`: send rejected records again once they can be counted."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from cli.language import beside, say
from cli.tables import Column, print_table

if TYPE_CHECKING:
    from producers.topics.dead_letters import RejectedRecord
    from rollup.reprocessing import ReprocessResult

_BATCH = 2_000
_EXAMPLES = 10
OUTCOME_COLUMNS = (
    Column("reason", "key"),
    Column("countable", "number"),
    Column("counted_already", "number"),
    Column("repeated", "number", rank=2),
    Column("version_taken", "number", rank=1),
    Column("still_rejected", "number"),
)
# In the order of the columns.
_OUTCOMES = ("send", "counted", "repeat", "superseded", "rejected")


class ReplayRefusedError(LookupError):
    """Nothing can be replayed; the message says what to do first."""


@dataclass
class _Outcome:
    """Outcomes of all records."""

    records: int = 0
    sent: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """Reason of the rejection → outcome now → number of records."""
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, record: "RejectedRecord", result: "ReprocessResult") -> None:
        """Add the outcome of one record."""
        self.records += 1
        self.outcomes.setdefault(record.reason or "-", Counter())[result.outcome] += 1
        if result.outcome in {"rejected", "superseded"} and len(self.examples) < _EXAMPLES:
            self.examples.append(
                {
                    "where": record.location,
                    "outcome": result.outcome,
                    "reason": result.reason,
                    "detail": result.detail,
                }
            )

    def count(self, outcome: str) -> int:
        """Number of records with an outcome."""
        return sum(some[outcome] for some in self.outcomes.values())


def rejected(
    *,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="Only those rejected for this reason; may be given more than once."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Write those that still cannot be counted to this file, one JSON object a line, "
            "to be repaired.",
            dir_okay=False,
        ),
    ] = None,
    corrected: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Read the records of such a file, as people repaired them, not the topic's.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    send: Annotated[
        bool,
        typer.Option(
            "--send", help="Send those that can be counted. Without this it only shows them."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Send rejected records again that can be counted now.

    That is because the registry has their unit by now, or because people repaired them. An event
    that the ledger has already is not sent; one that workers have not reached yet may be sent
    twice, and counts once. Exit code 1 if a repaired record still cannot be counted.
    """
    from cli.progress import progress
    from pravah.producer import EventProducer
    from pravah.settings import Settings
    from producers.topics.dead_letters import format_line, read_corrected, read_rejected
    from producers.topics.registry import read_registry
    from reference.defaults import default_dictionary
    from rollup.reprocessing import Reprocessor, identity_of
    from rollup.validation import Accepted, Reason
    from sinks.connection import connect
    from sinks.event_ids import counted_events

    reasons = get_args(Reason)
    for wrong in [one for one in reason or () if one not in reasons]:
        msg = f"{wrong!r} is no reason; reasons are {', '.join(reasons)}"
        raise typer.BadParameter(msg, param_hint="'--reason'")
    if to and corrected and to.resolve() == corrected.resolve():
        msg = f"{to}: --to would empty the file that --from reads; name another one"
        raise ReplayRefusedError(msg)
    settings = Settings()
    registry = read_registry(settings.kafka)
    if registry is None:
        msg = "no registry is loaded: `pravah units load` first"
        raise ReplayRefusedError(msg)
    reprocessor = Reprocessor(
        registry,
        default_dictionary(),
        max_future_hours=settings.max_future_hours,
        now=time.time_ns() // 1_000_000,
    )
    outcome = _Outcome()
    with ExitStack() as open_now:
        total, records = (
            (None, read_corrected(corrected))
            if corrected
            else open_now.enter_context(read_rejected(settings.kafka))
        )
        clickhouse = open_now.enter_context(connect(settings.clickhouse, "writer"))
        producer = open_now.enter_context(EventProducer(settings.kafka)) if send else None
        file = open_now.enter_context(to.open("wb")) if to else None
        advance = open_now.enter_context(
            progress(beside("अस्वीकृत", "rejected records"), total, quiet=as_json)
        )
        while batch := list(islice(records, _BATCH)):
            chosen = [record for record in batch if not reason or record.reason in reason]
            verdicts = [(record, reprocessor.decide(record.value)) for record in chosen]
            known = counted_events(
                clickhouse,
                [
                    identity_of(decision)
                    for _, decision in verdicts
                    if isinstance(decision, Accepted)
                ],
            )
            for record, decision in verdicts:
                result = reprocessor.conclude(decision, known)
                outcome.add(record, result)
                if result.outcome == "send" and producer:
                    producer.send_raw(record.value, result.key)
                if result.outcome in {"rejected", "superseded"} and file:
                    file.write(format_line(record))
            advance(len(batch))
        if producer:
            producer.flush()
            outcome.sent = producer.delivered
    _print(outcome, send=send, to=to, as_json=as_json)
    if corrected and (outcome.count("rejected") or outcome.count("superseded")):
        raise typer.Exit(1)


def _print(outcome: _Outcome, *, send: bool, to: Path | None, as_json: bool) -> None:
    import orjson

    if as_json:
        shown = {
            **vars(outcome),
            "outcomes": {reason: dict(some) for reason, some in outcome.outcomes.items()},
        }
        typer.echo(
            orjson.dumps({**shown, **{name: outcome.count(name) for name in _OUTCOMES}}).decode()
        )
        return
    if not outcome.records:
        say("कुछ भी अस्वीकृत नहीं", "nothing was rejected")
        return
    rows: list[tuple[str | int, ...]] = [
        (reason, *(some[name] for name in _OUTCOMES))
        for reason, some in sorted(outcome.outcomes.items())
    ]
    print_table(OUTCOME_COLUMNS, rows)
    for example in outcome.examples:
        typer.echo(
            f"{example['where']}: {example['reason'] or example['outcome']}: {example['detail']}"
        )
    for line in _next_steps(outcome, send=send, to=to):
        typer.echo(line)


def _next_steps(outcome: _Outcome, *, send: bool, to: Path | None) -> Iterator[str]:
    waiting, left = outcome.count("send"), outcome.count("rejected") + outcome.count("superseded")
    if send:
        yield f"{outcome.sent:,} records sent"
    elif waiting:
        yield f"nothing was sent; --send sends {waiting:,} records"
    if left and to:
        yield (
            f"{left:,} records written to {to}: repair `event` in each line, then "
            f"`pravah replay rejected --from {to} --send`"
        )
    elif left:
        yield (
            f"{left:,} records cannot be counted as they are; --to FILE writes them to a file "
            "to repair them"
        )
