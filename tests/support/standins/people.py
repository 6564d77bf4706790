"""What people do with a form, at random: fill it in, correct it, move it to another unit, review it, delete it."""

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


def answers(choose: random.Random) -> Answers:
    """A form that is filled in rightly, for a unit on a day on which it is open."""
    unit = choose.choice(UNITS)
    day = small_world.on(choose.randint(*_OPEN.get(unit, (0, 60))))
    at = f"{day}T{choose.choice(['00:00:00', '09:30:00', '23:59:59'])}+05:30"
    groups = tuple(
        (choose.choice(["whatsapp", "broadcast"]), choose.randint(0, 50))
        for _ in range(choose.choice([0, 0, 1, 2, 3]))
    )
    return Answers(
        unit, at, choose.randint(0, 9), choose.choice([None, choose.randint(0, 30)]), groups
    )


def corrected(choose: random.Random, before: Answers) -> Answers:
    """The same form with something changed: an amount, the unit, the day, or all of it."""
    after = answers(choose)
    return choose.choice(
        [
            after,
            before._replace(posts=before.posts + 1),
            before._replace(groups=after.groups),
            before._replace(unit=after.unit, at=after.at),
        ]
    )


def act(tool: StandIn, choose: random.Random) -> None:
    """One thing that somebody does."""
    standing = tool.standing()
    what = choose.random()
    if not standing or what < 0.4:
        tool.submit(answers(choose))
        return
    one = choose.choice(standing)
    if what < 0.7:
        tool.edit(one.name, corrected(choose, one.answers))
    elif what < 0.87:
        tool.review(one.name, choose.choice(["verified", "rejected", "unverified"]))
    else:
        tool.delete(one.name)
