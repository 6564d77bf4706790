"""Distinct members, persons who were reported twice, and samples drawn for back-checks.

- `membership_events`: the part of the ledger from which members are counted, copied by
  `membership_events_feed` as rows arrive: memberships, and every version above the first, since a
  correction may change an entity to another kind. `member_keys` has the keyed hashes as 32 bytes
  each. It replaces as the ledger does.
- `members_at(as_of, exact_up_to)`: for every ancestor of the day of each membership: `members` as
  reported, `verified` of them, `named` by a key, and the number of distinct persons among the keys,
  `persons` and `verified_persons`. Up to `exact_up_to` keys below a unit these two are exact
  (`method`); above, they come from HyperLogLog with 2^17 cells (`uniqCombined64`), off by some
  0.3 %.
- `members_named_twice(as_of, unit)`: each key that is in more than one membership at or below a
  unit: in which units, how often. A person who was reported twice counts twice in `members` and
  once in `persons`.
- `back_check_samples`: what was drawn, and from what; the outcome of a check is the entity's
  `verification`.
"""

from sinks.migrate import Schema
from sinks.migrations.m0001_ledger_and_journal import LEVEL

_AS_OF = "{as_of:DateTime64(3)}"

_FEED = """
    SELECT key, entity, version, partition, offset, op, unit,
           kind = 'membership' AS is_membership, day, verification,
           if(is_membership, JSONExtractUInt(data, 'count'), 0) AS members,
           if(
               is_membership,
               arrayMap(
                   member -> toFixedString(unhex(member), 32),
                   JSONExtract(data, 'member_keys', 'Array(String)')
               ),
               []
           ) AS member_keys,
           correction, deleted
    FROM {source}
    WHERE kind = 'membership' OR version > 1 OR deleted
"""


def forward(schema: Schema) -> list[str]:
    """Create the tables and the views, and copy the rows of the ledger."""
    database = schema.database
    return [
        *schema.create_table(
            "membership_events",
            """
            key LowCardinality(String), entity String CODEC(ZSTD(1)), version UInt64,
            partition Int32, offset UInt64, op Enum8('report' = 1, 'retract' = 2),
            unit LowCardinality(String), is_membership UInt8, day Date,
            verification Enum8('unverified' = 1, 'verified' = 2, 'rejected' = 3),
            members UInt64, member_keys Array(FixedString(32)), correction UInt32, deleted UInt8
            """,
            engine="ReplacingMergeTree(correction, deleted)",
            order_by="key, entity, version, partition, offset",
            shard_by="partition",
        ),
        schema.create_feed("membership_events_feed", "ledger", "membership_events", _FEED),
        f"INSERT INTO {database}.membership_events {_FEED.format(source=f'{database}.ledger')}",
        schema.create_view("members_at", members(database)),
        schema.create_view("members_named_twice", named_twice(database)),
        *schema.create_table(
            "back_check_samples",
            f"""
            sample String, drawn_at DateTime64(6, 'Asia/Kolkata'), author String, seed String,
            unit String, kind LowCardinality(String), first Date, last Date, size UInt32,
            each_level Nullable({LEVEL}), population UInt64, stratum String, key String,
            entity String, version UInt64
            """,
            engine="MergeTree()",
            order_by="sample, stratum, key, entity",
        ),
    ]


def _standing(database: str, as_of: str) -> str:
    """Memberships that count on the day of `as_of`.

    Of each entity the highest version, unless it is a retraction or was rejected.
    """
    return f"""
        SELECT key, entity, argMax(unit, version) AS unit, argMax(day, version) AS day,
               argMax(members, version) AS members,
               argMax(verification, version) = 'verified' AS is_verified,
               argMax(member_keys, version) AS member_keys
        FROM {database}.membership_events FINAL
        GROUP BY key, entity
        HAVING argMax(op, version) = 'report'
           AND argMax(verification, version) != 'rejected'
           AND argMax(is_membership, version) = 1
           AND day <= toDate({as_of}, 'Asia/Kolkata')
    """


def members(database: str, as_of: str = _AS_OF) -> str:
    """Query of `members_at`; `as_of` is SQL of a `DateTime64(3)`."""
    rows = f"""
        SELECT a.ancestor_level AS level, a.ancestor AS unit, s.members AS amount,
               s.is_verified AS is_verified, s.member_keys AS member_keys
        FROM ({_standing(database, as_of)}) AS s
        INNER JOIN {database}.unit_ancestors AS a ON a.unit = s.unit
        WHERE s.day BETWEEN a.valid_from AND a.valid_to
    """
    limit = "{exact_up_to:UInt64}"
    large = f"SELECT unit FROM ({rows}) GROUP BY unit HAVING sum(length(member_keys)) > {limit}"

    def count(method: str, distinct: str, operator: str) -> str:
        return f"""
            SELECT level, unit, sum(amount) AS members, sumIf(amount, is_verified) AS verified,
                   sum(length(member_keys)) AS named,
                   {distinct}Array(member_keys) AS persons,
                   {distinct}ArrayIf(member_keys, is_verified) AS verified_persons,
                   CAST('{method}' AS Enum8('exact' = 1, 'approximate' = 2)) AS method
            FROM ({rows})
            WHERE unit {operator} ({large})
            GROUP BY level, unit
        """

    exact = count("exact", "uniqExact", "NOT IN")
    return f"{exact} UNION ALL {count('approximate', 'uniqCombined64', 'IN')}"


def named_twice(database: str, as_of: str = _AS_OF) -> str:
    """Query of `members_named_twice`; `as_of` is SQL of a `DateTime64(3)`."""
    return f"""
        SELECT lower(hex(member)) AS member_key, count() AS memberships,
               arraySort(groupUniqArray(toString(unit))) AS units, min(day) AS first_day,
               max(day) AS last_day
        FROM (
            SELECT s.unit AS unit, s.day AS day, arrayJoin(arrayDistinct(s.member_keys)) AS member
            FROM ({_standing(database, as_of)}) AS s
            INNER JOIN (
                SELECT a.unit AS unit, a.valid_from AS valid_from, a.valid_to AS valid_to
                FROM {database}.unit_ancestors AS a
                WHERE a.ancestor = {{unit:String}}
            ) AS b ON b.unit = s.unit
            WHERE s.day BETWEEN b.valid_from AND b.valid_to
        )
        GROUP BY member
        HAVING memberships > 1
    """


def backward(schema: Schema) -> list[str]:
    """Drop them, with the samples."""
    views = ("members_named_twice", "members_at", "membership_events_feed")
    return [
        *schema.drop_table("back_check_samples"),
        *(schema.drop_view(name) for name in views),
        *schema.drop_table("membership_events", sharded=True),
    ]
