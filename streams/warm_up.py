"""Before the first record: every compiled loop is run once, so that it is compiled, or read from where it was kept, before a partition waits for it."""

import json
from typing import Any

import numpy as np

from schemas.days import date_of, day_of
from schemas.events import EARLIEST, MODELS
from schemas.texts import Texts
from schemas.units import routing_key
from streams.bulk_admission import BulkAdmission
from streams.filter import EntityFilter, first_rows
from streams.open_chunk import OpenChunk
from streams.recent import RecentEntities
from streams.records import HEADER, One, Records

_ID, _HASH = "00000000-0000-4000-8000-000000000000", "0" * 64
_LATER = 1 << 50
"""Milliseconds since 1970-01-01T00:00Z, after whatever a unit may report."""
_DATA: dict[str, dict[str, Any]] = {
    "incharge_appointed": {"role": "head", "person": _HASH},
    "committee_formed": {"members": 1},
    "training_held": {"programme": "warm-up", "attendees": 1, "trained_units": []},
    "messaging_group": {"group_type": "whatsapp", "members": 1},
    "social_post": {"platform": "facebook", "posts": 1},
    "membership": {"mode": "digital", "count": 1, "member_keys": [_HASH]},
    "tally": {"metric": "warm_up", "value": 1},
}


def warm_up(admission: BulkAdmission) -> None:
    """Decide about one event of each kind; nothing of it is kept."""
    single = admission.admission
    unit = next(iter(single.registry.units.values()))
    at = f"{date_of(max(unit.first, day_of(EARLIEST.date()) + 1))}T12:00:00+05:30"
    events = [
        {"event_id": _ID, "entity": f"warm-up {kind}", "unit": unit.code, "kind": kind, "occurred_at": at, "reported_at": at, "reporter": _HASH}
        | {"source": {"tool": "warm-up", "producer": "warm-up"}, "data": {**_DATA[kind], **({"trained_units": [unit.code]} if kind == "training_held" else {})}}
        for kind in MODELS
    ]
    records = Records.of([One(offset, _LATER, b"", json.dumps(event).encode()) for offset, event in enumerate(events)])
    decided = admission.admit(single.partition_of(routing_key(unit.code)), Records.join([records, records])).accepted
    if decided is None:  # a unit that nothing may be reported of: then the first batch waits a little
        return
    for texts in (Texts.join([decided.names, decided.data]), Texts.of(["one by one"])):
        texts.native()
        texts.crc32()
    first = first_rows(decided.entities.checksums)
    for bits in (8, 32):  # as bits, and as a table
        EntityFilter(bits).add(decided.entities.checksums & np.uint32((1 << bits) - 1))
    decided.entities.texts.are_as(first, first)
    chunk, later = (OpenChunk(0, 1, admission.vocabulary) for _ in range(2))
    chunk.fold(decided, first == np.arange(len(first)))
    chunk.take_unwritten()
    recent = RecentEntities(0)
    recent.keep(chunk.known)
    recent.tell(decided.entities[first == np.arange(len(first))], later.known)
    later.tell(["told"], [("told", next(decided.each(admission.vocabulary)))])
    Records.from_batches(np.zeros(1, HEADER), [b""])
