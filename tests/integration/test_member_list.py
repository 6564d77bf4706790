"""Persons of an imported list of members, counted by real servers, are the oracle's."""

from collections import Counter, defaultdict
from datetime import datetime, time, timedelta
from pathlib import Path

import orjson

from producers.mapping.pseudonyms import Pseudonymiser
from producers.tables import Importer, ImportMapping, open_mapped_table
from sinks.members import members
from tests.support import oracle, small_world
from tests.support.deployment import Deployment
from tests.support.folding import fold
from tests.support.member_list import FIRST_DAY, HEADER, MAPPING, make_list
from tests.support.tables import write_csv


def test_persons_of_a_list_with_dirty_numbers_are_the_oracle_s_at_every_ancestor(
    deployment: Deployment, tmp_path: Path
) -> None:
    made = make_list(10_000)
    mapping = ImportMapping.from_toml(MAPPING)
    with open_mapped_table(
        write_csv(tmp_path / "list.csv", [HEADER, *made.rows]), mapping
    ) as table:
        importer = Importer(
            mapping,
            table.columns,
            registry=small_world.registry(),
            pseudonymiser=Pseudonymiser([b"key of the installation"]),
        )
        events = [orjson.loads(importer.convert(number, row).value) for number, row in table.rows]
    fold(deployment.settings.clickhouse, small_world.registry(), events)
    hierarchy = oracle.Hierarchy.read(small_world.write(tmp_path))
    last = FIRST_DAY + timedelta(days=60)
    counts: Counter[str] = Counter()
    persons: dict[str, set[str]] = defaultdict(set)
    for row, event in zip(made.rows, events, strict=True):
        day = datetime.strptime(str(row[4]), "%d/%m/%Y").date()
        for ancestor in hierarchy.ancestors(event["unit"], day).values():
            counts[ancestor] += 1
            persons[ancestor].add(str(row[1]))
    as_of = datetime.combine(last, time(23), oracle.KOLKATA)
    found = {
        one.unit: (one.members, one.persons)
        for one in members(deployment.clickhouse, "IN", as_of, below=True)
        if one.members
    }
    assert found == {unit: (counts[unit], len(persons[unit])) for unit in counts}
