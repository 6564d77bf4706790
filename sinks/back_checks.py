"""Samples for back-checks in the field: drawn from the ledger, stored, and compared later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NoReturn

from clickhouse_driver import Client

from pravah.errors import PravahError
from pravah.units import Level
from schemas.back_check import CheckedEntity


@dataclass(frozen=True)
class Drawing:
    """The population of a sample, and how it is drawn."""

    sample: str
    unit: str
    """Entities at or below it on their day."""
    kind: str
    first: date
    last: date
    size: int
    """How many; with `each_level`, of each unit of that level."""
    seed: str
    each_level: Level | None = None


@dataclass(frozen=True)
class DrawnEntity:
    """One entity of a sample, at the version that was drawn."""

    stratum: str
    """The unit whose share of the sample it is."""
    key: str
    entity: str
    version: int
    unit: str
    day: date
    data: str
    """As JSON."""


class SampleError(PravahError):
    """There is a sample of that name, or there is none, or nothing to draw from."""


def draw(client: Client, drawing: Drawing, *, author: str) -> list[DrawnEntity]:
    """Draw a sample and store it. The same seed draws the same from the same population.

    The population are the entities of a kind that count, and were not checked yet, by their highest
    version. They are ordered by SHA-256 of seed, key and entity, separated by line feeds: the first
    ones are the sample. So everyone with the population can draw it again, and nobody can choose
    who is checked.

    Raises:
        SampleError: the name is taken, or nothing fits.
    """
    if client.execute(
        "SELECT 1 FROM back_check_samples WHERE sample = %(sample)s LIMIT 1",
        {"sample": drawing.sample},
    ):
        _raise_taken(drawing.sample)
    query = """
        SELECT stratum, key, entity, version, unit, day, data, population FROM (
            SELECT s.ancestor AS stratum, e.key AS key, e.entity AS entity, e.version AS version,
                   e.unit AS unit, e.day AS day, e.data AS data, count() OVER () AS population,
                   SHA256(concat(%(seed)s, '\n', e.key, '\n', e.entity)) AS place
            FROM (
                SELECT key, entity, max(version) AS version, argMax(unit, l.version) AS unit,
                       argMax(day, l.version) AS day, argMax(data, l.version) AS data
                FROM ledger AS l FINAL
                WHERE (key, entity) IN (
                    SELECT key, entity FROM ledger
                    WHERE kind = %(kind)s AND day BETWEEN %(first)s AND %(last)s
                )
                GROUP BY key, entity
                HAVING argMax(op, l.version) = 'report'
                   AND argMax(verification, l.version) = 'unverified'
                   AND argMax(kind, l.version) = %(kind)s
                   AND day BETWEEN %(first)s AND %(last)s
            ) AS e
            INNER JOIN (
                SELECT unit, valid_from, valid_to FROM unit_ancestors WHERE ancestor = %(unit)s
            ) AS b ON b.unit = e.unit
            INNER JOIN (
                SELECT unit, ancestor, valid_from, valid_to
                FROM unit_ancestors
                WHERE if(
                    %(each)s = '', ancestor = %(unit)s, toString(ancestor_level) = %(each)s
                )
            ) AS s ON s.unit = e.unit
            WHERE e.day BETWEEN b.valid_from AND b.valid_to
              AND e.day BETWEEN s.valid_from AND s.valid_to
        )
        ORDER BY stratum, place
        LIMIT %(size)s BY stratum
    """
    wanted = {
        "unit": drawing.unit,
        "kind": drawing.kind,
        "first": drawing.first,
        "last": drawing.last,
        "seed": drawing.seed,
        "size": drawing.size,
    }
    rows = client.execute(query, {**wanted, "each": drawing.each_level or ""})
    if not rows:
        msg = (
            f"no {drawing.kind} at or below {drawing.unit} from {drawing.first} to {drawing.last} "
            "counts and is still to be checked"
        )
        raise SampleError(msg)
    common = (
        author,
        drawing.seed,
        drawing.unit,
        drawing.kind,
        drawing.first,
        drawing.last,
        drawing.size,
        drawing.each_level,
    )
    columns = (
        "sample, drawn_at, author, seed, unit, kind, first, last, size, each_level, population, "
        "stratum, key, entity, version"
    )
    # Its microseconds distinguish this drawing from another one of the same name.
    ((drawn_at, micros),) = client.execute(
        """
        SELECT now64(6, 'Asia/Kolkata') - toIntervalMicrosecond(rand() % 1000) AS at,
               toUnixTimestamp64Micro(at)
        """
    )
    client.execute(
        f"INSERT INTO back_check_samples ({columns}) VALUES",
        [(drawing.sample, drawn_at, *common, row[-1], *row[:4]) for row in rows],
    )
    # Of two processes that draw a sample of one name at once, at least one sees the other's.
    mine = {"sample": drawing.sample, "micros": micros}
    ((others,),) = client.execute(
        "SELECT count() FROM back_check_samples "
        "WHERE sample = %(sample)s AND toUnixTimestamp64Micro(drawn_at) != %(micros)s",
        mine,
    )
    if others:
        client.execute(
            "DELETE FROM back_check_samples "
            "WHERE sample = %(sample)s AND toUnixTimestamp64Micro(drawn_at) = %(micros)s",
            mine,
        )
        _raise_taken(drawing.sample)
    return [DrawnEntity(*row[:-1]) for row in rows]


def _raise_taken(sample: str) -> NoReturn:
    msg = f"there is a sample {sample!r} already; `pravah backcheck result {sample}` shows it"
    raise SampleError(msg)


@dataclass(frozen=True)
class Checked:
    """Outcome of a sample, or of one stratum's share of it."""

    stratum: str
    drawn: int
    verified: int
    rejected: int
    gone: int
    """Retracted by the reporter."""

    @property
    def waiting(self) -> int:
        """Not checked yet."""
        return self.drawn - self.verified - self.rejected - self.gone


def result(client: Client, sample: str) -> list[Checked]:
    """Outcome of a sample, by stratum.

    Raises:
        SampleError: there is none of that name.
    """
    query = """
        SELECT s.stratum, count(), countIf(e.op = 'report' AND e.verification = 'verified'),
               countIf(e.op = 'report' AND e.verification = 'rejected'), countIf(e.op = 'retract')
        FROM back_check_samples AS s
        INNER JOIN (
            SELECT key, entity, argMax(op, version) AS op,
                   argMax(verification, version) AS verification
            FROM ledger FINAL
            WHERE (key, entity) IN (
                SELECT key, entity FROM back_check_samples WHERE sample = %(sample)s
            )
            GROUP BY key, entity
        ) AS e ON e.key = s.key AND e.entity = s.entity
        WHERE s.sample = %(sample)s
        GROUP BY s.stratum
        ORDER BY s.stratum
    """
    rows = client.execute(query, {"sample": sample})
    if not rows:
        samples = [
            row[0]
            for row in client.execute(
                "SELECT sample FROM back_check_samples GROUP BY sample "
                "ORDER BY max(drawn_at) DESC LIMIT 10"
            )
        ]
        msg = f"there is no sample {sample!r}; there are {', '.join(samples) or 'none'}"
        raise SampleError(msg)
    return [Checked(*row) for row in rows]


def current_events(
    client: Client, checked: Sequence[CheckedEntity]
) -> dict[tuple[str, str], dict[str, Any]]:
    """(key, entity) → its highest version in the ledger.

    The fields are `version`, `op`, `unit`, `kind`, `occurred_at`, `verification`, `reporter`,
    `evidence` and `data` (JSON).
    """
    names = (
        "version",
        "op",
        "unit",
        "kind",
        "occurred_at",
        "verification",
        "reporter",
        "evidence",
        "data",
    )
    query = f"""
        SELECT key, entity, max(l.version),
               {", ".join(f"argMax({name}, l.version)" for name in names[1:])}
        FROM ledger AS l FINAL
        WHERE (key, entity) IN %(wanted)s
        GROUP BY key, entity
    """
    rows = (
        client.execute(query, {"wanted": [(one.key, one.entity) for one in checked]})
        if checked
        else []
    )
    return {row[:2]: dict(zip(names, row[2:], strict=True)) for row in rows}
