"""What was rejected, read back from `activity.rejected` or from a file in which people mended it."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition

from schemas.topics import REJECTED
from settings import KafkaSettings
from settings.kafka import client_options


class MendedFileError(ValueError):
    """A file of mended records has a line that is none; the message says which and why."""


@dataclass(frozen=True)
class RejectedRecord:
    """A record that counts nowhere."""

    partition: int
    """Of `activity.events`, where it stood."""
    offset: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    """Byte for byte as it came."""
    line: int = 0
    """Where it stands in a file of mended ones, from 1; 0 if it comes from the topic."""

    @property
    def where(self) -> str:
        """For a person: the line of the file, or the place in the log."""
        return f"line {self.line}" if self.line else f"partition {self.partition}, offset {self.offset}"


def read_rejected(kafka: KafkaSettings) -> tuple[int, Iterator[RejectedRecord]]:
    """The records that the topic holds now, each once however often it was rejected: a chunk that is folded again rejects the same ones again.

    Returns:
        How many entries the topic has, repeats included; and the records, read as they are taken.
    """
    consumer = KafkaConsumer(**client_options(kafka), group_id=None, enable_auto_commit=False, max_partition_fetch_bytes=8 << 20)
    partitions = [TopicPartition(REJECTED, number) for number in sorted(consumer.partitions_for_topic(REJECTED) or ())]
    begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    return sum(ends[tp] - begins[tp] for tp in partitions), _read(consumer, {tp: end for tp, end in ends.items() if end > begins[tp]})


def _read(consumer: KafkaConsumer, ends: dict[TopicPartition, int]) -> Iterator[RejectedRecord]:
    seen: set[tuple[int, int]] = set()
    try:
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for tp, records in consumer.poll(timeout_ms=1_000).items():
                for record in records:
                    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
                    place = (int(headers.get("partition", -1)), int(headers.get("offset", record.offset)))
                    if record.offset < ends.get(tp, 0) and place not in seen:
                        seen.add(place)
                        yield RejectedRecord(*place, headers.get("reason", ""), headers.get("detail", ""), record.key, record.value)
    finally:
        consumer.close()


def to_line(record: RejectedRecord) -> bytes:
    """One line of JSON that a person can mend: `event` if the value is a JSON object, else `value` as text, else `value_base64`."""
    shown: dict[str, Any] = {"partition": record.partition, "offset": record.offset, "reason": record.reason, "detail": record.detail}
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
            if not isinstance(shown, dict) or len(shown.keys() & {"event", "value", "value_base64"}) > 1:
                msg = f'{path}:{number}: an object with one of "event", "value" and "value_base64" is expected'
                raise MendedFileError(msg)
            yield RejectedRecord(
                _whole(shown.get("partition")), _whole(shown.get("offset")), str(shown.get("reason", "")), "", None, _value(shown, path, number), number
            )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1


def _value(shown: dict[str, Any], path: Path, number: int) -> bytes | None:
    if "event" in shown:
        return orjson.dumps(shown["event"])
    if isinstance(text := shown.get("value"), str):
        return text.encode()
    try:
        return base64.b64decode(shown["value_base64"], validate=True) if "value_base64" in shown else None
    except (binascii.Error, TypeError, ValueError) as error:
        msg = f"{path}:{number}: value_base64 is no base64 ({error})"
        raise MendedFileError(msg) from None
