"""Forecasts from the pace of the last two weeks, and values that stand out.

- `plan_forecast_at(as_of, share)`: for each milestone and ancestor the day on which so large a
  share of the units below will have it. `share` is above 0 and at most 1.
- `plan_forecast`: the same now, for four fifths.
- `unusual_values(first, last)`: reported amounts that stand out from what their unit reported
  before, or from what its peers reported on the day.

**The forecast.** Of `expected` units `done` have the milestone; `open` do not. A unit that is still
open has it tomorrow with a chance (hazard) that is estimated from the units that got it in the last
seven days, `recent`, over the unit-days at risk. Hazards rise before a deadline and fall behind it:
how fast is estimated from the last two weeks of the milestone in the whole state, since one unit's
counts are too small for it; a rise is taken at half its pace, for it ends with the deadline. Then
the expected days until the k-th of R open units are ln((R + 1/2) / (R - k + 1/2)) / hazard (the
mean of an order statistic of exponential times), stretched or cut short by the trend. The band of
about four in five has the logarithm of the days from minus 1.2816 to plus 1.2816 sigma, with sigma²
= 1/recent + (1/(R - k + 1/2) - 1/(R + 1/2)) / ln(…)² + what a pace alone does not know: 1/2 towards
sooner and 9/4 towards later, since some units never follow. The first two terms are how well the
pace is known, and how chance scatters the units. `benchmarks/forecast.py` measures the error on
simulated campaigns; docs/plan.md states it.

With fewer than five units in the last week it says `too_little`. Where the pace falls so fast that
the share is never reached, or not within a year, it says `not_in_sight`.

**Unusual values.** The modified z-score of Iglewicz and Hoaglin (How to Detect and Handle Outliers,
1993): 0.6745 (x - median) / MAD, unusual from 3.5 on, where x is sign(v) ln(1 + |v|) of the amount
v, because counts spread by factors; 0.6745 / MAD is at most 2, so that no value below some five
times the usual is flagged. A unit's own history are its amounts of that metric on the 28 days
before, at least seven of them; its peers are the units of its level that stand under the same
parent and reported the metric for that day, at least five. Of a stock the amount is the change.
"""

from sinks.migrate import Schema
from sinks.migrations.m0001_ledger_and_journal import LEVEL
from sinks.plan_views import AS_OF, NOW, plan_forecast

_MEDIAN = "quantileExactInclusive(0.5)"


def forward(schema: Schema) -> list[str]:
    """Create the views."""
    database = schema.database
    return [
        schema.create_view(
            "plan_forecast_at",
            plan_forecast(database, done="plan_done", as_of=AS_OF, share="{share:Float64}"),
        ),
        schema.create_view(
            "plan_forecast", plan_forecast(database, done="plan_done", as_of=NOW, share="0.8")
        ),
        schema.create_view("unusual_values", unusual(database)),
    ]


def unusual(
    database: str, first: str = "{first:Date}", last: str = "{last:Date}", *, rows: str = ""
) -> str:
    """Query of `unusual_values`; `first` and `last` are SQL of a `Date`.

    Args:
        database: name.
        first: of the days whose values are looked at.
        last: included.
        rows: SQL of a further condition on the rows of the journal, beginning with `AND`.
    """
    # Among the ancestors of a unit the nearest one that is not itself; a booth's is its assembly.
    return f"""
        SELECT day, level, unit, metric, amount, usual, own_z, peer_z, parent, days_before, peers
        FROM (
            SELECT day, level, unit, metric, amount, parent,
                   length(earlier) AS days_before, length(others) AS peers,
                   arrayReduce('{_MEDIAN}', earlier) AS own_median,
                   arrayReduce('{_MEDIAN}', others) AS peer_median,
                   if(
                       days_before = 0,
                       NULL,
                       round(sign(own_median) * (exp(abs(own_median)) - 1), 1)
                   ) AS usual,
                   if(
                       days_before < 7,
                       NULL,
                       (x - own_median) * least(
                           2,
                           0.6745 / arrayReduce(
                               '{_MEDIAN}', arrayMap(y -> abs(y - own_median), earlier)
                           )
                       )
                   ) AS own_z,
                   if(
                       peers < 5,
                       NULL,
                       (x - peer_median) * least(
                           2,
                           0.6745 / arrayReduce(
                               '{_MEDIAN}', arrayMap(y -> abs(y - peer_median), others)
                           )
                       )
                   ) AS peer_z
            FROM (
                SELECT j.day AS day, j.level AS level, j.unit AS unit, j.metric AS metric,
                       j.amount AS amount, j.x AS x, j.earlier AS earlier, p.parent AS parent,
                       groupArray(j.x) OVER (
                           PARTITION BY j.level, j.metric, j.day, p.parent
                       ) AS others
                FROM (
                    SELECT *,
                           groupArray(x) OVER (
                               PARTITION BY level, metric, unit
                               ORDER BY toUInt16(day)
                               RANGE BETWEEN 28 PRECEDING AND 1 PRECEDING
                           ) AS earlier
                    FROM (
                        SELECT level, metric, unit, day, sum(value) AS amount,
                               sign(amount) * log(1 + abs(amount)) AS x
                        FROM {database}.journal FINAL
                        WHERE day BETWEEN {first} - 28 AND {last}{rows}
                        GROUP BY level, metric, unit, day
                        HAVING sum(reports) > 0
                    )
                ) AS j
                LEFT JOIN (
                    SELECT a.unit AS unit, a.valid_from AS valid_from, a.valid_to AS valid_to,
                           a.ancestor AS parent
                    FROM {database}.unit_ancestors AS a
                    INNER JOIN {database}.units AS u ON u.unit = a.unit
                    WHERE a.ancestor_level = CAST(
                        multiIf(
                            u.level = 'booth', 'assembly',
                            u.level = 'assembly', 'district',
                            u.level IN ('district', 'division'), 'state',
                            'national'
                        )
                        AS {LEVEL}
                    )
                ) AS p ON p.unit = j.unit AND j.day BETWEEN p.valid_from AND p.valid_to
                WHERE j.day >= {first}
            )
        )
        WHERE abs(own_z) >= 3.5 OR abs(peer_z) >= 3.5
    """


def backward(schema: Schema) -> list[str]:
    """Drop the tables and views of this step."""
    return [
        schema.drop_view(name) for name in ("unusual_values", "plan_forecast", "plan_forecast_at")
    ]
