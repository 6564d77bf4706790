"""What was rejected, read back from `activity.rejected` or from a file in which people mended it."""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pravah.errors import PravahError
from pravah.settings import KafkaSettings
from pravah.topics import REJECTED
from producers.topics.reader import whole_topic


class MendedFileError(PravahError):
    """A file of mended records has a line that is none; the message says which and why."""


@dataclass(frozen=True)
class RejectedRecord:
    """A record that counts nowhere."""

    partition: int
    """Of `activity.events`, where it stood; of `activity.rejected`, if it does not say."""
    offset: int
    reason: str
    detail: str
    value: bytes | None
    """Byte for byte as it came."""
    line: int = 0
    """Where it stands in a file of mended ones, from 1; 0 if it comes from the topic."""

    @property
    def where(self) -> str:
        """For a person: the line of the file, or the place in the log."""
        return (
            f"line {self.line}"
            if self.line
            else f"partition {self.partition}, offset {self.offset}"
        )


@contextmanager
def read_rejected(kafka: KafkaSettings) -> Iterator[tuple[int, Iterator[RejectedRecord]]]:
    """The records that the topic holds now, for the length of a block. Each comes once however often it was rejected: a chunk that is folded again rejects the same ones again.

    Gives:
        How many entries the topic has, repeats included; and the records, read as they are taken.

    Raises:
        ProducerError: Kafka does not answer, or has no such topic.
    """
    with whole_topic(kafka, REJECTED) as (count, records):
        yield count, _once(records)


def _once(records: Iterator[Any]) -> Iterator[RejectedRecord]:
    seen: set[tuple[str, int, int]] = set()
    for record in records:
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        place = (
            headers.get("topic", ""),
            _number(headers.get("partition")),
            _number(headers.get("offset")),
        )
        if -1 in place:  # not from a worker: it stands for itself
            place = (REJECTED, record.partition, record.offset)
        if place not in seen:
            seen.add(place)
            yield RejectedRecord(
                *place[1:], headers.get("reason", ""), headers.get("detail", ""), record.value
            )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else -1


def to_line(record: RejectedRecord) -> bytes:
    """One line of JSON that a person can mend: `event` if the value is a JSON object, else `value` as text, else `value_base64`."""
    shown: dict[str, Any] = {
        "partition": record.partition,
        "offset": record.offset,
        "reason": record.reason,
        "detail": record.detail,
    }
    if record.value is not None:
        try:
            event = orjson.loads(record.value)
        except orjson.JSONDecodeError:
            event = None
        if isinstance(event, dict):
            shown["event"] = event
        else:
            try:
                shown["value"] = record.value.decode()
            except UnicodeDecodeError:
                shown["value_base64"] = base64.b64encode(record.value).decode()
    return orjson.dumps(shown) + b"\n"


def read_mended(path: Path) -> Iterator[RejectedRecord]:
    """The records of a file of such lines.

    Raises:
        MendedFileError: a line is no such line.
        OSError: the file cannot be read.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                shown = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                msg = f"{path}:{number}: no JSON ({error}); one object a line, as `pravah replay rejected --to FILE` writes them"
                raise MendedFileError(msg) from None
            if (
                not isinstance(shown, dict)
                or len(shown.keys() & {"event", "value", "value_base64"}) > 1
            ):
                msg = f'{path}:{number}: an object with one of "event", "value" and "value_base64" is expected'
                raise MendedFileError(msg)
            yield RejectedRecord(
                _whole(shown.get("partition")),
                _whole(shown.get("offset")),
                str(shown.get("reason", "")),
                "",
                _value(shown, path, number),
                number,
            )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1


def _value(shown: dict[str, Any], path: Path, number: int) -> bytes | None:
    if "event" in shown:
        return orjson.dumps(shown["event"])
    if isinstance(text := shown.get("value"), str):
        return text.encode()
    try:
        return (
            base64.b64decode(shown["value_base64"], validate=True)
            if "value_base64" in shown
            else None
        )
    except (binascii.Error, TypeError, ValueError) as error:
        msg = f"{path}:{number}: value_base64 is no base64 ({error})"
        raise MendedFileError(msg) from None
