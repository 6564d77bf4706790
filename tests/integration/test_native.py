"""Blocks of columns arrive in ClickHouse as the same rows sent value by value."""

from uuid import UUID

import numpy as np
import pytest

from columnar.columns import (
    Block,
    Blocks,
    Days,
    DictionaryTexts,
    Enums,
    Integers,
    Lists,
    NullableIntegers,
    Uuids,
)
from columnar.texts import Texts
from sinks.native_format import encode
from tests.support.deployment import Deployment

COLUMNS = """
    small UInt8, counted UInt64, signed Int64, place Int32, day Date, id UUID,
    level Enum8('national' = 1, 'state' = 2), name LowCardinality(String), text String,
    at DateTime64(6, 'Asia/Kolkata'), reported Nullable(DateTime64(6, 'Asia/Kolkata')),
    metrics Array(LowCardinality(String)), amounts Array(Int64), correction UInt32
"""


def block(rows: int, names: list[str]) -> Block:
    """Rows that differ, with names beyond what one byte can count if there are so many."""
    numbers = np.arange(rows)
    lengths = numbers % 3
    return Block(
        {
            "small": Integers(numbers % 2),
            "counted": Integers(numbers.astype(np.uint64) + np.uint64(2**63)),
            "signed": Integers(-numbers),
            "place": Integers(numbers.astype(np.int32) - 5),
            "day": Days(numbers % 65_536),
            "id": Uuids(
                np.stack(
                    [numbers.astype(np.uint64) + np.uint64(2**63 + 7), numbers.astype(np.uint64)],
                    axis=1,
                )
            ),
            "level": Enums(numbers % 2, ("national", "state")),
            "name": DictionaryTexts(numbers % len(names), names),
            "text": Texts.of(
                "श्री " * (number % 99) if number % 2 else str(number) for number in range(rows)
            ),
            "at": Integers(numbers * 1_000_003 + 1_655_000_000_000_000),
            "reported": NullableIntegers(numbers + 1_655_000_000_000_000, numbers % 4 == 0),
            "metrics": Lists(
                lengths, DictionaryTexts(np.arange(lengths.sum()) % len(names), names)
            ),
            "amounts": Lists(lengths, Integers(np.arange(lengths.sum()) - 3)),
            "correction": Integers(numbers.astype(np.uint32)),
        }
    )


@pytest.mark.parametrize(
    ("rows", "names"), [(1, 1), (7, 3), (1_000, 256), (1_000, 257), (70_000, 65_537)]
)
def test_columns_arrive_as_values_do(deployment: Deployment, rows: int, names: int) -> None:
    writer = deployment.clickhouse
    all_names = [f"name {number} " + "x" * (number % 300) for number in range(names)]
    sent = Blocks([block(size, all_names) for size in (rows, 0, rows // 2)])
    for table in ("by_column", "by_value"):
        writer.execute(f"CREATE OR REPLACE TABLE native_{table} ({COLUMNS}) ENGINE = Memory")
    try:
        writer.insert("native_by_column", sent, {})
        writer.execute(
            f"INSERT INTO native_by_value ({', '.join(sent.columns)}) VALUES", list(sent)
        )
        query = "SELECT count(), sum(cityHash64(*)), any(toTypeName(metrics)) FROM native_{}"
        assert writer.execute(query.format("by_column")) == writer.execute(query.format("by_value"))
        assert writer.execute(
            "SELECT * EXCEPT (at, reported) FROM native_by_column ORDER BY counted LIMIT 9"
        ) == writer.execute(
            "SELECT * EXCEPT (at, reported) FROM native_by_value ORDER BY counted LIMIT 9"
        )
    finally:
        for table in ("by_column", "by_value"):
            writer.execute(f"DROP TABLE native_{table} SYNC")


def test_a_block_without_items_in_its_lists_arrives(deployment: Deployment) -> None:
    writer = deployment.clickhouse
    writer.execute(
        "CREATE OR REPLACE TABLE native_lists "
        "(metrics Array(LowCardinality(String)), id UUID) ENGINE = Memory"
    )
    nothing = Lists(np.zeros(2, np.int64), DictionaryTexts(np.empty(0, np.int64), ["x"]))
    writer.insert(
        "native_lists",
        Block({"metrics": nothing, "id": Uuids(np.array([[1, 2], [3, 4]], np.uint64))}),
        {},
    )
    rows = writer.execute("SELECT metrics, id FROM native_lists ORDER BY id")
    assert [(list(metrics), one) for metrics, one in rows] == [
        ([], UUID(int=1 << 64 | 2)),
        ([], UUID(int=3 << 64 | 4)),
    ]
    writer.execute("DROP TABLE native_lists SYNC")


def test_a_column_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="Days cannot be written as UUID"):
        encode([Days(np.zeros(1, np.int64))], "UUID")
