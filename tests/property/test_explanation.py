"""Explained figures: what the entities give to a figure sums to the oracle's figure."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from pravah.days import date_of
from rollup.explanation import Verdict, judge
from rollup.versions import Version
from tests.property.test_contribution import ENGINE, LogRecord
from tests.property.test_rollup import REGISTRY, hierarchy, log_of
from tests.support import oracle, small_world

__all__ = ["hierarchy"]  # the fixture

DAY = 19_000
SPANS = {"CG-AC001-B0001": [(DAY - 5, DAY + 5)]}


def spans_below(ancestor: str) -> dict[str, list[tuple[int, int]]]:
    found = defaultdict(list)
    for code in REGISTRY.units:
        for span in REGISTRY.spans(code):
            if span.ancestor == ancestor:
                found[code].append((span.first, span.last))
    return found


BELOW = {code: spans_below(code) for code in REGISTRY.units}


def versions_of(events: list[dict]) -> dict[str, list[Version]]:
    """Entity → its accepted versions; of two with one number the first stands."""
    entities: defaultdict[str, dict[int, Version]] = defaultdict(dict)
    for record in log_of(events, [0] * len(events)):
        row = LogRecord(record.offset, record.timestamp, b"", record.value or b"")
        columns = ENGINE.validate(0, [row], 0).verdicts.accepted
        assert columns is not None
        (entity,), (version,) = columns.entities.values(), columns.each(ENGINE.encodings)
        entities[entity].setdefault(version.version, version)
    return {name: list(versions.values()) for name, versions in entities.items()}


@settings(max_examples=150)
@given(st.lists(small_world.event(), min_size=1, max_size=12))
def test_verdicts_sum_to_the_oracles_figure_and_every_other_version_has_a_reason(
    hierarchy: oracle.Hierarchy, events: list[dict]
) -> None:
    entities = versions_of(events)
    for (day, _, unit, metric), figure in oracle.figures(events, hierarchy).items():
        number = (day - date_of(0)).days
        value = verified = 0
        for versions in entities.values():
            verdict = judge(
                versions,
                spans=BELOW[unit],
                metric=metric,
                day=number,
                is_stock=metric in oracle.STOCKS,
            )
            value += verdict.value
            verified += verdict.verified_value
            numbers = {one.version for one in versions}
            assert set(verdict.reasons) == numbers - {verdict.counted}
            assert verdict.counted in {None, *numbers}
        assert (value, verified) == figure


def version(number: int, day: int = DAY, **changes: object) -> Version:
    fields = {"op": "report", "verification": "unverified", "unit": "CG-AC001-B0001"}
    fields |= {"occurred_at": day * 86_400_000_000, "amounts": {"posts": 3, "groups": 2}}
    return Version(version=number, day=day, **{**fields, **changes})  # type: ignore[arg-type]


def flow(*versions: Version, metric: str = "posts", day: int = DAY) -> Verdict:
    return judge(versions, spans=SPANS, metric=metric, day=day, is_stock=False)


def stock(*versions: Version, day: int = DAY) -> Verdict:
    return judge(versions, spans=SPANS, metric="groups", day=day, is_stock=True)


def test_a_flow_says_what_replaced_a_version_and_what_another_one_is_about() -> None:
    today = date_of(DAY)
    assert flow(version(1), version(2)) == Verdict(2, 3, 0, {1: "replaced by version 2"})
    assert flow(version(1, verification="verified")) == Verdict(1, 3, 3, {})
    moved = flow(version(1), version(2, DAY + 1))
    tomorrow = date_of(DAY + 1)
    assert moved == Verdict(
        None,
        0,
        0,
        {
            1: f"replaced by version 2, which is about {tomorrow}",
            2: f"is about {tomorrow}",
        },
    )
    assert flow(version(1), metric="reach").reasons == {1: "says nothing of this metric"}
    elsewhere = flow(version(1, unit="CG-D-A"))
    assert elsewhere.reasons == {1: f"CG-D-A did not stand below this unit on {today}"}
    for day, counted in ((DAY - 6, None), (DAY - 5, 1), (DAY + 5, 1), (DAY + 6, None)):
        assert flow(version(1, day), day=day).counted == counted


def test_a_stock_says_what_followed_what_came_later_and_what_was_retracted() -> None:
    assert stock(version(1), version(2, DAY - 1)) == Verdict(
        1, 2, 0, {2: "followed by the later observation of version 1"}
    )
    later = stock(version(1, DAY + 1), version(2, DAY + 2))
    assert later.reasons == {
        1: f"was observed later, on {date_of(DAY + 1)}",
        2: f"was observed later, on {date_of(DAY + 2)}",
    }
    undone = stock(version(1), version(2, op="retract", amounts={}), version(3))
    assert undone == Verdict(
        3,
        2,
        0,
        {1: "undone by the retraction, version 2", 2: "undone by the retraction, version 2"},
    )
    ended_later = version(2, DAY + 1, op="retract", amounts={})
    ended = stock(version(1), ended_later, version(3), day=DAY + 2)
    assert (ended.counted, ended.value) == (3, 2)


def test_a_retracted_or_refused_entity_says_so_for_each_version() -> None:
    for highest, why in (
        (version(2, op="retract", amounts={}), "retracted"),
        (version(2, verification="rejected"), "rejected when it was verified"),
    ):
        reason = f"the entity is {why}, by version 2"
        for verdict in (flow(version(1), highest), stock(version(1), highest)):
            assert verdict == Verdict(None, 0, 0, {1: reason, 2: reason})
