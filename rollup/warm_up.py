"""Warm-up: runs every kernel once, so that none is compiled or loaded while a partition waits."""

import json
from typing import Any

import numpy as np

from columnar.texts import Texts
from pravah.days import date_of, day_of
from pravah.events import EARLIEST, MODELS
from pravah.units import routing_key
from rollup.batch_validation import BatchValidator
from rollup.entity_cache import EntityCache
from rollup.open_chunk import OpenChunk
from rollup.record_batch import HEADER, BatchRecord, RecordBatch
from rollup.seen_filter import SeenFilter, first_rows

_ID, _HASH = "00000000-0000-4000-8000-000000000000", "0" * 64

# An append time after any event, milliseconds since 1970-01-01T00:00Z.
_LATER = 1 << 50

_DATA: dict[str, dict[str, Any]] = {
    "incharge_appointed": {"role": "head", "person": _HASH},
    "committee_formed": {"members": 1},
    "training_held": {"programme": "warm-up", "attendees": 1, "trained_units": []},
    "messaging_group": {"group_type": "whatsapp", "members": 1},
    "social_post": {"platform": "facebook", "posts": 1},
    "membership": {"mode": "digital", "count": 1, "member_keys": [_HASH]},
    "tally": {"metric": "warm_up", "value": 1},
}


def warm_up(validator: BatchValidator) -> None:
    """Validate and fold one event of each kind, without any effect."""
    single = validator.validator
    unit = next(iter(single.registry.units.values()))
    at = f"{date_of(max(unit.first, day_of(EARLIEST.date()) + 1))}T12:00:00+05:30"
    events = [
        {
            "event_id": _ID,
            "entity": f"warm-up {kind}",
            "unit": unit.code,
            "kind": kind,
            "occurred_at": at,
            "reported_at": at,
            "reporter": _HASH,
        }
        | {
            "source": {"tool": "warm-up", "producer": "warm-up"},
            "data": {
                **_DATA[kind],
                **({"trained_units": [unit.code]} if kind == "training_held" else {}),
            },
        }
        for kind in MODELS
    ]
    records = RecordBatch.of(
        [
            BatchRecord(offset, _LATER, b"", json.dumps(event).encode())
            for offset, event in enumerate(events)
        ]
    )
    accepted = validator.validate(
        single.partition_of(routing_key(unit.code)), RecordBatch.join([records, records])
    ).accepted
    if accepted is None:  # the unit accepts no report: then the first batch compiles
        return
    for texts in (Texts.join([accepted.names, accepted.data]), Texts.of(["one by one"])):
        texts.to_native()
        texts.crc32()
    first = first_rows(accepted.entities.checksums)
    for bits in (8, 32):  # as a bitmap, and as a table
        SeenFilter(bits).add(accepted.entities.checksums & np.uint32((1 << bits) - 1))
    accepted.entities.texts.rows_equal(first, first)
    chunk, later = (OpenChunk(0, 1, validator.encodings) for _ in range(2))
    chunk.fold(accepted, first == np.arange(len(first)))
    chunk.take_unwritten()
    cache = EntityCache(0)
    cache.add(chunk.entities)
    cache.copy_to(later.entities, accepted.entities[first == np.arange(len(first))])
    later.add_known(["entity"], [("entity", next(accepted.each(validator.encodings)))])
    RecordBatch.from_batches(np.zeros(1, HEADER), [b""])
