"""Batch validation gives every record the result of single validation.

The result is the same for any corruption: outcome, reason, and row of the ledger.
"""

import json
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pravah.topics import TICK_KEY
from rollup.batch_validation import BatchValidator
from rollup.validation import Accepted, Misrouted, Rejected, Tick, Validator
from rollup.version_columns import columns_of
from tests.support import small_world

# Batches in the suite; 20,000 were run by hand.
EXAMPLES = 400
# Before and after the day from which control characters and versions in the future are refused, and
# the year 1970, when every event lies in the future
APPENDED_AT = (1_655_000_000_000, 1_800_000_000_000, 1_000)
SINGLY = Validator(
    small_world.registry(),
    small_world.dictionary(),
    partition_of=lambda key: 0 if key != "CG-D-B" else 1,
    max_future_hours=24,
)
BULK = BatchValidator(SINGLY)


class LogRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


HASH = "0123456789abcdef" * 4
ODD = st.sampled_from(
    [
        *(
            "",
            " ",
            "x",
            "x\u0000",
            " padded ",
            "CG",
            "IN",
            "CG-AC001-B0004",
            "CG-AC999",
            "cg-ac001",
            "report",
            "retract",
            "verified",
            "rejected",
            "tally",
            "membership",
        ),
        *(
            "2022-03-05T10:00:00Z",
            "2022-03-05t10:00:00z",
            "2022-03-05 10:00:00+05:30",
            "2022-03-05T10:00:00.5Z",
            "2022-03-05T10:00:00.123Z",
            "2022-03-05T10:00:00.123456-00:30",
        ),
        *(
            "2022-03-05T10:00:00.1234567Z",
            "2022-02-30T10:00:00Z",
            "2022-03-05T24:00:00Z",
            "2022-03-05T10:00:60Z",
            "2022-03-05T10:00:00",
            "2022-03-05T10:00Z",
            "20220305T100000Z",
        ),
        *(
            "1999-12-31T23:59:59Z",
            "2000-01-01T05:29:59+05:30",
            "2000-01-01T05:30:00+05:30",
            "2150-01-01T00:00:00Z",
            "2022-03-05T10:00:00+24:00",
            "2022-03-05T10:00:00+23:59",
        ),
        *(
            "2022-03-05T10:00:00Z\u0000",
            "2022-03-05T10:00:00+05:30\u0000",
            "२०२२-03-05T10:00:00Z",
            "2022-03-05T10:00:00+5:30",
            "2022-03-05T10:00:00.123+05:3",
            "1646463600",
        ),
        *(
            "7c01a43a-f6c9-5363-873c-a24a6cd9f52c",
            "7C01A43A-F6C9-5363-873C-A24A6CD9F52C",
            "7c01a43af6c95363873ca24a6cd9f52c",
            "{7c01a43a-f6c9-5363-873c-a24a6cd9f52c}",
        ),
        *(
            "urn:uuid:7c01a43a-f6c9-5363-873c-a24a6cd9f52c",
            "7c01a43a-f6c9-5363-873c-a24a6cd9f52g",
            "7c01a43a-f6c9-5363-873ca24a6cd9f52c0-",
            "७c01a43a-f6c9-5363-873c-a24a6cd9f52c",
        ),
        *(
            HASH,
            HASH.upper(),
            HASH[:-1],
            HASH + "0",
            HASH[:-1] + "g",
            HASH[:-1] + "\N{DEVANAGARI DIGIT ZERO}",
            "https://example.org/1",
            "http://a b",
            "ftp://x",
            "https://",
            "x" * 129,
            "x" * 201,
        ),
        *(
            "whatsapp",
            "facebook",
            "digital",
            "incharge",
            "volunteers",
            "unheard_of",
            "श्री",
            "a\nb",
            "a\u007fb",
            "a\u0085b",
            "a\u200bb",
            "क्\u200dष",
            "a\u2028b",
            "a\u202eb",
            "https://example.org/\u200f1",
            "a\u2069",
            "\ufeffa",
            "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        ),
        *(
            0,
            1,
            -1,
            1.0,
            1.5,
            1e3,
            10**9,
            10**9 + 1,
            10**12,
            10**12 + 1,
            10**17,
            4_102_444_800_000_000_000,
            4_102_444_800_000_000_001,
            2**63 - 1,
            2**63,
            2**64,
            -(2**63),
            True,
            False,
            None,
        ),
        *(
            [],
            {},
            [HASH],
            [HASH.upper()],
            [HASH, "x"],
            ["CG-AC001-B0001"],
            ["CG-AC001-B0001", "CG-AC002-B0005"],
            ["x"],
            [None],
            {"tool": "t", "producer": "p"},
            {"tool": " t", "producer": "p"},
        ),
    ]
)
FIELDS = st.sampled_from(
    [
        *(
            "event_id",
            "entity",
            "version",
            "op",
            "unit",
            "kind",
            "occurred_at",
            "reported_at",
            "source",
            "reporter",
            "evidence",
            "verification",
            "data",
            "unheard_of",
        ),
        *(
            "source.tool",
            "source.producer",
            "source.other",
            "data.platform",
            "data.posts",
            "data.reach",
            "data.engagements",
            "data.mode",
            "data.count",
            "data.member_keys",
        ),
        *(
            "data.metric",
            "data.value",
            "data.group_type",
            "data.members",
            "data.active",
            "data.role",
            "data.person",
            "data.programme",
            "data.attendees",
            "data.trained_units",
            "data.other",
        ),
    ]
)
TRAINING = st.builds(
    lambda event, units: {
        **event,
        "kind": "training_held",
        "data": {
            "programme": "incharge",
            "attendees": 3,
            **({"trained_units": units} if units else {}),
        },
    },
    small_world.event(),
    st.sampled_from(
        [[], ["CG-AC001-B0001"], ["CG-AC001-B0002", "CG-AC001-B0003"], ["CG-AC002-B0005"]]
    ),
)
FULL = st.builds(
    lambda event: (
        {
            **event,
            "reported_at": "2022-05-01T10:00:00.250Z",
            "reporter": HASH,
            "evidence": "https://example.org/1",
        }
        | {"event_id": "7c01a43a-f6c9-5363-873c-a24a6cd9f52c"}
    ),
    small_world.event(),
)


def corrupted(event: dict, changes: list) -> dict:
    event = json.loads(json.dumps(event))
    for field, value, absent in changes:
        outer, _, inner = field.partition(".")
        place = event
        if inner:
            place = event.get(outer)
            if not isinstance(place, dict):
                continue
            outer = inner
        if absent:
            place.pop(outer, None)
        else:
            place[outer] = value
    return event


def serialized(event: dict, form: int, twice: str | None) -> bytes:
    """Serialize as different programs do; `twice` is a field that occurs twice, the last counts."""
    text = json.dumps(
        event, ensure_ascii=form % 2 == 0, indent=2 if form == 3 else None, sort_keys=form in {2, 5}
    )
    if twice is not None:
        text = "{" + f'"{twice}": {json.dumps(event.get(twice, 1))}, ' + text[1:]
    if form == 4:
        text = f" \n\t{text}\r\n"
    return text.encode("utf-8", "surrogatepass")


EVENTS = st.one_of(small_world.event(), TRAINING, FULL)
VALUES = st.one_of(
    st.builds(
        serialized,
        st.builds(corrupted, EVENTS, st.lists(st.tuples(FIELDS, ODD, st.booleans()), max_size=2)),
        st.integers(0, 5),
        st.none() | st.sampled_from(["kind", "unit", "data", "op", "source"]),
    ),
    st.builds(
        lambda event, at, junk: (raw := json.dumps(event).encode())[: at % len(raw)] + junk,
        EVENTS,
        st.integers(0, 500),
        st.binary(max_size=3),
    ),
    st.sampled_from(
        [None, b"", b"{}", b"[]", b"null", b"\xff", b"\xef\xbb\xbf{}", b"1" * 100, b"[" * 100_000]
    ),
)


def singly(partition: int, records: list[LogRecord]) -> tuple[list, list, list, int]:
    """Validate singly: rows of the ledger, rejected and misrouted records, number of ticks."""
    decisions = [SINGLY.validate(partition, record) for record in records]
    accepted = [
        (one.event, one.version, one.record) for one in decisions if isinstance(one, Accepted)
    ]
    rows = (
        list(columns_of(accepted, partition, BULK.encodings).ledger(BULK.encodings))
        if accepted
        else []
    )
    return (
        rows,
        [one for one in decisions if isinstance(one, Rejected)],
        [one for one in decisions if isinstance(one, Misrouted)],
        sum(isinstance(one, Tick) for one in decisions),
    )


@settings(max_examples=EXAMPLES)
@given(
    values=st.lists(VALUES, min_size=1, max_size=12),
    partition=st.integers(0, 1),
    appended_at=st.sampled_from(APPENDED_AT),
)
@example(values=[b" " * 1_048_577], partition=0, appended_at=APPENDED_AT[0])
@example(
    values=[json.dumps({"kind": "membership", "pad": "x" * 1_048_577}).encode()],
    partition=0,
    appended_at=APPENDED_AT[1],
)
def test_a_batch_is_validated_as_its_records_are_singly(
    values: list[bytes | None], partition: int, appended_at: int
) -> None:
    records = [
        LogRecord(offset, appended_at, TICK_KEY if value is None else b"CG", value)
        for offset, value in enumerate(values)
    ]
    rows, rejected, misrouted, ticks = singly(partition, records)
    verdicts = BULK.validate(partition, records)
    columns = verdicts.accepted
    found = (
        sorted(columns.ledger(BULK.encodings), key=lambda row: row[4])
        if columns is not None
        else []
    )
    assert found == rows
    assert (verdicts.rejected, verdicts.misrouted, len(verdicts.ticks)) == (
        rejected,
        misrouted,
        ticks,
    )
    if columns is not None:
        assert columns.entities.values() == [
            f"{row[0]}\n{row[1]}" for row in columns.ledger(BULK.encodings)
        ]
        offsets: dict[str, int] = {}
        for entity, offset in zip(columns.entities.values(), columns.offset.tolist(), strict=True):
            assert offsets.get(entity, -1) < offset, "of one entity in the order of the log"
            offsets[entity] = offset


@settings(max_examples=50)
@given(st.lists(EVENTS, min_size=1, max_size=10))
def test_usual_records_are_not_validated_singly(events: list[dict]) -> None:
    """Else the property above would hold and all be as slow as before."""
    usual = [
        event
        for event in events
        if event["unit"] != "CG-D-B" and "trained_units" not in event["data"]
    ]
    records = [
        LogRecord(offset, APPENDED_AT[1], b"CG", json.dumps(event).encode())
        for offset, event in enumerate(usual)
    ]
    others = []
    bulk = BatchValidator(SINGLY)
    validate_singly = bulk._validate_singly
    bulk._validate_singly = lambda partition, columns, single: (
        others.extend(single) or validate_singly(partition, columns, single)
    )
    bulk.validate(0, records)
    assert others == []
