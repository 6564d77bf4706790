"""Random actions of people: submit a form, correct it, move it, review it, delete it."""

import random

from tests.support import small_world
from tests.support.standins.server import Answers, StandIn

UNITS = [
    "CG-AC001-B0001",
    "CG-AC001-B0003",
    "CG-AC001-B0004",
    "CG-AC002-B0005",
    "CG-AC001",
    "CG-AC002",
    "CG-D-B",
    "CG",
]
_OPEN = {"CG-AC001-B0004": (0, 40), "CG-AC002-B0005": (25, 60)}


def answers(rng: random.Random) -> Answers:
    """A valid form, for a unit on a day on which it is open."""
    unit = rng.choice(UNITS)
    day = small_world.on(rng.randint(*_OPEN.get(unit, (0, 60))))
    at = f"{day}T{rng.choice(['00:00:00', '09:30:00', '23:59:59'])}+05:30"
    groups = tuple(
        (rng.choice(["whatsapp", "broadcast"]), rng.randint(0, 50))
        for _ in range(rng.choice([0, 0, 1, 2, 3]))
    )
    return Answers(unit, at, rng.randint(0, 9), rng.choice([None, rng.randint(0, 30)]), groups)


def corrected(rng: random.Random, before: Answers) -> Answers:
    """The same form with another amount, unit and day, groups, or all of them."""
    after = answers(rng)
    return rng.choice(
        [
            after,
            before._replace(posts=before.posts + 1),
            before._replace(groups=after.groups),
            before._replace(unit=after.unit, at=after.at),
        ]
    )


def act(tool: StandIn, rng: random.Random) -> None:
    """Perform one random action."""
    submissions = tool.current_submissions()
    draw = rng.random()
    if not submissions or draw < 0.4:
        tool.submit(answers(rng))
        return
    one = rng.choice(submissions)
    if draw < 0.7:
        tool.edit(one.name, corrected(rng, one.answers))
    elif draw < 0.87:
        tool.review(one.name, rng.choice(["verified", "rejected", "unverified"]))
    else:
        tool.delete(one.name)
