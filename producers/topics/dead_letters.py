"""The dead-letter queue, topic `activity.rejected`, and files in which people correct records."""

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
from producers.topics.reader import read_topic


class CorrectedFileError(PravahError):
    """An invalid line in a file of corrected records; the message has its number and the reason."""


@dataclass(frozen=True)
class RejectedRecord:
    """A record that counts nowhere."""

    partition: int
    """Of `activity.events`, where the record was; of `activity.rejected`, if its headers do not
    say."""
    offset: int
    reason: str
    detail: str
    value: bytes | None
    """Byte for byte as it came."""
    line: int = 0
    """Number of its line in a file of corrected records, from 1; 0 if it comes from the topic."""

    @property
    def location(self) -> str:
        """The line of the file, or partition and offset, for messages."""
        return (
            f"line {self.line}"
            if self.line
            else f"partition {self.partition}, offset {self.offset}"
        )


@contextmanager
def read_rejected(kafka: KafkaSettings) -> Iterator[tuple[int, Iterator[RejectedRecord]]]:
    """Read the records that the topic holds now, for the length of a block.

    Each record comes once. The topic may hold it more often: a chunk that is folded again rejects
    the same records again.

    Yields:
        The number of entries in the topic, repeats included, and the records, read lazily.

    Raises:
        ProducerError: Kafka does not answer, or has no such topic.
    """
    with read_topic(kafka, REJECTED) as (count, records):
        yield count, _deduplicate(records)


def _deduplicate(records: Iterator[Any]) -> Iterator[RejectedRecord]:
    seen: set[tuple[str, int, int]] = set()
    for record in records:
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        source = (
            headers.get("topic", ""),
            _parse_number(headers.get("partition")),
            _parse_number(headers.get("offset")),
        )
        if -1 in source:  # not written by a worker, so it has no source but itself
            source = (REJECTED, record.partition, record.offset)
        if source not in seen:
            seen.add(source)
            yield RejectedRecord(
                *source[1:], headers.get("reason", ""), headers.get("detail", ""), record.value
            )


def _parse_number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else -1


def format_line(record: RejectedRecord) -> bytes:
    """Return a record as one line of JSON that a person can correct.

    The value is `event` if it is a JSON object, else `value` if it is text, else `value_base64`.
    """
    line: dict[str, Any] = {
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
            line["event"] = event
        else:
            try:
                line["value"] = record.value.decode()
            except UnicodeDecodeError:
                line["value_base64"] = base64.b64encode(record.value).decode()
    return orjson.dumps(line) + b"\n"


def read_corrected(path: Path) -> Iterator[RejectedRecord]:
    """Read a file of lines as `format_line` writes them. Empty lines are skipped.

    Raises:
        CorrectedFileError: a line is invalid.
        OSError: the file cannot be read.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                content = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                msg = (
                    f"{path}:{number}: no JSON ({error}); one object a line, "
                    "as `pravah replay rejected --to FILE` writes them"
                )
                raise CorrectedFileError(msg) from None
            if (
                not isinstance(content, dict)
                or len(content.keys() & {"event", "value", "value_base64"}) > 1
            ):
                msg = (
                    f'{path}:{number}: an object with one of "event", "value" and "value_base64" '
                    "is expected"
                )
                raise CorrectedFileError(msg)
            yield RejectedRecord(
                _get_integer(content, "partition"),
                _get_integer(content, "offset"),
                str(content.get("reason", "")),
                "",
                _get_value(content, path, number),
                number,
            )


def _get_integer(content: dict[str, Any], name: str) -> int:
    value = content.get(name)
    return value if isinstance(value, int) else -1


def _get_value(content: dict[str, Any], path: Path, number: int) -> bytes | None:
    if "event" in content:
        return orjson.dumps(content["event"])
    if isinstance(text := content.get("value"), str):
        return text.encode()
    try:
        return (
            base64.b64decode(content["value_base64"], validate=True)
            if "value_base64" in content
            else None
        )
    except (binascii.Error, TypeError, ValueError) as error:
        msg = f"{path}:{number}: value_base64 is no base64 ({error})"
        raise CorrectedFileError(msg) from None
