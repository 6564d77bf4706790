"""A small hierarchy in which units move, open and close: enough for properties, easy to read.

State CG has divisions N and S. Districts A and B are in N, C is in S. On day 20 district B moves
from N to S. District D opens on day 30. Assembly 1 lies in A and B: its booths 1, 2 and 4 are in A,
booth 3 is in B. On day 30 booth 2 moves to D. Booth 4 closes after day 40. Booth 5, in assembly 2
and district C, opens on day 25.
"""

from datetime import date, timedelta
from pathlib import Path

from hypothesis import strategies as st

from schemas.metrics import MetricDictionary
from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv

FIRST_DAY = date(2022, 3, 1)


def on(number: int) -> str:
    """Day `number` of the small world, as an ISO date."""
    return (FIRST_DAY + timedelta(days=number)).isoformat()


UNITS = f"""unit,level,name_en,name_hi,valid_from,valid_to,lat,lon
IN,national,India,भारत,,,,
CG,state,Chhattisgarh,छत्तीसगढ़,,,,
CG-V-N,division,North,उत्तर,,,,
CG-V-S,division,South,दक्षिण,,,,
CG-D-A,district,A,अ,,,,
CG-D-B,district,B,ब,,,,
CG-D-C,district,C,स,,,,
CG-D-D,district,D,द,{on(30)},,,
CG-AC001,assembly,One,एक,,,,
CG-AC002,assembly,Two,दो,,,,
CG-AC001-B0001,booth,Booth 1,केंद्र 1,,,,
CG-AC001-B0002,booth,Booth 2,केंद्र 2,,,,
CG-AC001-B0003,booth,Booth 3,केंद्र 3,,,,
CG-AC001-B0004,booth,Booth 4,केंद्र 4,,{on(40)},,
CG-AC002-B0005,booth,Booth 5,केंद्र 5,{on(25)},,,
"""

PARENTS = f"""unit,parent,valid_from,valid_to
CG,IN,,
CG-V-N,CG,,
CG-V-S,CG,,
CG-D-A,CG-V-N,,
CG-D-B,CG-V-N,,{on(19)}
CG-D-B,CG-V-S,{on(20)},
CG-D-C,CG-V-S,,
CG-D-D,CG-V-N,{on(30)},
CG-AC001,CG-D-A,,
CG-AC002,CG-D-C,,
CG-AC001-B0001,CG-AC001,,
CG-AC001-B0001,CG-D-A,,
CG-AC001-B0002,CG-AC001,,
CG-AC001-B0002,CG-D-A,,{on(29)}
CG-AC001-B0002,CG-D-D,{on(30)},
CG-AC001-B0003,CG-AC001,,
CG-AC001-B0003,CG-D-B,,
CG-AC001-B0004,CG-AC001,,
CG-AC001-B0004,CG-D-A,,
CG-AC002-B0005,CG-AC002,,
CG-AC002-B0005,CG-D-C,,
"""


def registry() -> Registry:
    return registry_from_csv(
        {"small.units.csv": UNITS.splitlines(), "small.parents.csv": PARENTS.splitlines()}
    )


def dictionary() -> MetricDictionary:
    return MetricDictionary.from_toml(
        (Path(__file__).parents[2] / "reference" / "metrics.toml").read_text(encoding="utf-8")
    )


def write(folder: Path) -> Path:
    """Write the registry as CSV files into a folder; returns the folder."""
    (folder / "small.units.csv").write_text(UNITS, encoding="utf-8")
    (folder / "small.parents.csv").write_text(PARENTS, encoding="utf-8")
    return folder


# Routing key → the units that have it.
KEYS = {
    "CG-AC001": [
        "CG-AC001",
        "CG-AC001-B0001",
        "CG-AC001-B0002",
        "CG-AC001-B0003",
        "CG-AC001-B0004",
    ],
    "CG-AC002": ["CG-AC002", "CG-AC002-B0005"],
    "CG-D-B": ["CG-D-B"],
    "CG": ["CG"],
}

# (kind, data) of an event.
DATA = st.one_of(
    st.tuples(
        st.just("committee_formed"),
        st.builds(lambda m, a: {"members": m, "active": a}, st.integers(1, 9), st.booleans()),
    ),
    st.tuples(
        st.just("incharge_appointed"),
        st.builds(lambda a: {"role": "incharge", "person": "a" * 64, "active": a}, st.booleans()),
    ),
    st.tuples(
        st.just("messaging_group"),
        st.builds(
            lambda g, m, a: {"group_type": g, "members": m, "active": a},
            st.sampled_from(["whatsapp", "broadcast"]),
            st.integers(0, 9),
            st.booleans(),
        ),
    ),
    st.tuples(
        st.just("social_post"),
        st.builds(
            lambda p, n, r: {"platform": p, "posts": n, **r},
            st.sampled_from(["facebook", "twitter"]),
            st.integers(0, 9),
            st.sampled_from([{}, {"reach": 7}]),
        ),
    ),
    st.tuples(
        st.just("membership"),
        st.builds(lambda n: {"mode": "digital", "count": n}, st.integers(0, 9)),
    ),
    st.tuples(
        st.just("tally"),
        st.builds(
            lambda m, n: {"metric": m, "value": n},
            st.sampled_from(["volunteers", "doors_visited"]),
            st.integers(0, 9),
        ),
    ),
)


@st.composite
def event(draw: st.DrawFn, entities: int = 3, versions: int = 4) -> dict:
    """Any event of a few entities, on a day on which its unit is open.

    Entities and versions are few, so that versions of one entity meet.
    """
    key = draw(st.sampled_from(sorted(KEYS)))
    unit = draw(st.sampled_from(KEYS[key]))
    kind, data = draw(DATA)
    first, last = {"CG-AC001-B0004": (0, 40), "CG-AC002-B0005": (25, 60)}.get(unit, (0, 60))
    day = on(draw(st.integers(first, last)))
    time = draw(st.sampled_from(["00:00:00", "12:00:00", "23:59:59.999999"]))
    op = draw(st.sampled_from(["report", "report", "report", "retract"]))
    number = draw(st.integers(1, versions))
    entity = f"{key}:{draw(st.integers(1, entities))}"
    return {
        "event_id": f"00000000-0000-4000-8000-{draw(st.integers(0, 2**40)):012x}",
        "entity": entity,
        "version": number,
        "op": op,
        "unit": unit,
        "kind": kind,
        "occurred_at": f"{day}T{time}+05:30",
        "source": {"tool": "test", "producer": "small-world"},
        "verification": draw(st.sampled_from(["unverified", "unverified", "verified", "rejected"])),
        "data": data,
    }
