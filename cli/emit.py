"""`pravah emit`: events as JSON lines, from a file or a pipe, to Kafka."""

import base64
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import orjson
import typer

from pravah.events import EventError

if TYPE_CHECKING:
    from cli.progress import Advance

# Events that go into an outbox in one transaction.
_BATCH_EVENTS = 500
# How long the outbox is relayed without --drain.
_RELAY_SECONDS = 2.0
# Refused lines that are printed; the file of `--rejects` has all of them.
MAX_SHOWN = 20


def emit(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="[FILE|-]", help="One JSON event on each line, UTF-8; - is standard input."
        ),
    ] = Path("-"),
    *,
    rejects: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Write refused and undelivered lines here, with line number and reason, as JSON "
                "lines."
            )
        ),
    ] = None,
    outbox: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Put events into this file first: they are durable there, and go to Kafka when "
                "it answers. Created if missing."
            )
        ),
    ] = None,
    drain: Annotated[
        bool,
        typer.Option(
            "--drain",
            help="With --outbox: wait until Kafka has everything. Standard input is not read.",
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Stop at the first refused line; the lines before it are sent."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Send events from JSON lines.

    Checks each line, sends it to activity.events, and prints how many were sent and refused. A
    refused line stops nothing unless --strict is given. Sending a file again is safe: the same
    event counts once. Without Kafka, --outbox FILE keeps events for a later
    `pravah emit --outbox FILE --drain`, or for the next `emit --outbox FILE`.
    Exit 1 if a line was refused or not delivered.
    """
    from cli.progress import progress
    from pravah.producer import EventProducer, ProducerError
    from pravah.settings import Settings

    if drain and outbox is None:
        msg = "it goes with --outbox FILE"
        raise typer.BadParameter(msg, param_hint="--drain")
    outcome = _Outcome()
    if outbox is not None:
        _emit_by_outbox(
            outbox,
            None if drain and str(source) == "-" else source,
            outcome,
            rejects,
            strict=strict,
            drain=drain,
        )
        outcome.print_result(as_json=as_json)
        raise typer.Exit(0 if not outcome.reasons else 1)
    with (
        _lines(source) as (lines, size),
        _writer(rejects) as out,
        progress("sending", size) as advance,
    ):
        outcome.out = out
        try:
            with EventProducer(Settings().kafka) as producer:
                for number, text in _texts(lines, advance):
                    try:
                        producer.send(text)
                        outcome.accepted += 1
                    except EventError as error:
                        outcome.refuse(number, text, error.reason, error.detail)
                        if strict:
                            break
        except ProducerError as error:
            if not error.undelivered:
                raise  # Kafka is not there, or does not keep up
            for report in error.undelivered:
                outcome.undelivered(report.value or b"", report.error)
    outcome.print_result(as_json=as_json)
    raise typer.Exit(0 if not outcome.reasons else 1)


def _emit_by_outbox(
    outbox: Path,
    source: Path | None,
    outcome: "_Outcome",
    rejects: Path | None,
    *,
    strict: bool,
    drain: bool,
) -> None:
    from cli.progress import progress
    from pravah.producer import validate_event
    from pravah.settings import Settings
    from producers.outbox import Bounds, OutboxDepth, OutboxProducer, OutboxRecord, outbox_record

    settings = Settings()
    with OutboxProducer(
        outbox,
        settings.kafka,
        bounds=Bounds(settings.outbox_rows, settings.outbox_bytes, settings.outbox_memory_days),
    ) as producer:
        if source is not None:
            with (
                _lines(source) as (lines, size),
                _writer(rejects) as out,
                progress("storing", size) as advance,
            ):
                outcome.out = out
                waiting: list[OutboxRecord] = []
                for number, text in _texts(lines, advance):
                    try:
                        waiting.append(outbox_record(*validate_event(text)))
                    except EventError as error:
                        outcome.refuse(number, text, error.reason, error.detail)
                        if strict:
                            break
                    if len(waiting) == _BATCH_EVENTS:
                        outcome.put(producer.put(waiting))
                        waiting = []
                outcome.put(producer.put(waiting))
        before = producer.depth().rows
        with progress("relaying", before or None) as advance:
            shown = before

            def on_relayed(left: OutboxDepth) -> None:
                nonlocal shown
                advance(max(0, shown - left.rows), left.trouble[:60] or f"{left.rows:,} wait")
                shown = min(shown, left.rows)

            producer.flush(None if drain else _RELAY_SECONDS, on_relayed)
        outcome.waiting = producer.depth().rows


def _texts(lines: IO[bytes], advance: "Advance") -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not empty, with their numbers."""
    for number, line in enumerate(lines, start=1):
        advance(len(line), f"{number:,} lines")
        text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if text:
            yield number, text


class _Outcome:
    """Counts of sent and refused lines; prints the refused ones."""

    def __init__(self) -> None:
        self.accepted = 0
        self.repeated = 0
        # Events in the outbox; None without an outbox.
        self.waiting: int | None = None
        self.reasons: Counter[str] = Counter()
        self.out: IO[bytes] | None = None

    def refuse(self, number: int, text: bytes, reason: str, detail: str) -> None:
        self.reasons[reason] += 1
        if self.reasons.total() <= MAX_SHOWN:
            typer.echo(f"line {number}: {reason}: {detail}", err=True)
        elif self.reasons.total() == MAX_SHOWN + 1:
            typer.echo(
                "… further refused lines are only counted; --rejects FILE keeps them all", err=True
            )
        self._write_reject({"line": number, "reason": reason, "detail": detail}, text)

    def put(self, new: list[bool]) -> None:
        self.accepted += sum(new)
        self.repeated += len(new) - sum(new)

    def undelivered(self, text: bytes, error: Exception | None) -> None:
        self.accepted -= 1
        self.reasons["undelivered"] += 1
        if self.reasons["undelivered"] == 1:
            typer.echo(f"Kafka did not confirm everything, send it again: {error}", err=True)
        self._write_reject({"line": None, "reason": "undelivered", "detail": str(error)}, text)

    def _write_reject(self, entry: dict[str, Any], text: bytes) -> None:
        if self.out is None:
            return
        try:
            entry["text"] = text.decode()
        except UnicodeDecodeError:
            entry["base64"] = base64.b64encode(text).decode()
        self.out.write(orjson.dumps(entry) + b"\n")

    def print_result(self, *, as_json: bool) -> None:
        refused = self.reasons.total() - self.reasons["undelivered"]
        if as_json:
            counts = {
                "sent": self.accepted,
                "refused": refused,
                "undelivered": self.reasons["undelivered"],
            }
            outbox_counts = (
                {} if self.waiting is None else {"repeated": self.repeated, "waiting": self.waiting}
            )
            typer.echo(
                orjson.dumps({**counts, **outbox_counts, "reasons": dict(self.reasons)}).decode()
            )
        elif self.waiting is not None:
            typer.echo(
                f"taken: {self.accepted:,}; known already: {self.repeated:,}; refused: "
                f"{refused:,}; waiting for Kafka: {self.waiting:,}"
            )
        else:
            undelivered = (
                f"; not delivered: {self.reasons['undelivered']:,}"
                if self.reasons["undelivered"]
                else ""
            )
            typer.echo(f"sent: {self.accepted:,}; refused: {refused:,}{undelivered}")
            if self.accepted:
                from cli.progress import print_next

                print_next(("pravah status", "how many are in the figures"))


@contextmanager
def _lines(source: Path) -> Iterator[tuple[IO[bytes], int | None]]:
    """Open the source; yields its lines, and its size in bytes if known."""
    if str(source) == "-":
        yield sys.stdin.buffer, None
        return
    try:
        lines = source.open("rb")
    except OSError as error:
        msg = f"{source}: {error.strerror}"
        raise typer.BadParameter(msg, param_hint="FILE") from None
    with lines:
        yield lines, source.stat().st_size or None


@contextmanager
def _writer(path: Path | None) -> Iterator[IO[bytes] | None]:
    if path is None:
        yield None
        return
    with path.open("wb") as out:
        yield out
