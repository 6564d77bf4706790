"""The `data` of simulated reports: plausible numbers for each kind of event and level of unit, and how such numbers are corrected."""

from itertools import accumulate
from random import Random
from typing import Any

from pravah.events import Kind
from pravah.units import Level
from schemas.plan import Value

Data = dict[str, Any]

SCALE: dict[Level, int] = {
    "booth": 1,
    "assembly": 8,
    "district": 30,
    "division": 60,
    "state": 200,
    "national": 1_000,
}
"""How far a unit of a level reaches, a booth being 1."""

_DAILY: dict[Kind, tuple[float, float]] = {
    "social_post": (0.42, 0.60),
    "membership": (0.33, 0.14),
    "tally": (0.18, 0.10),
    "messaging_group": (0.04, 0.05),
    "committee_formed": (0.012, 0.03),
    "incharge_appointed": (0.010, 0.03),
    "training_held": (0.008, 0.05),
}
"""Shares of what booths, and of what other units, report besides the plan."""
_KINDS = tuple(_DAILY)
_BOOTH = list(accumulate(booth for booth, _ in _DAILY.values()))
_ABOVE = list(accumulate(above for _, above in _DAILY.values()))


class Details:
    """Draws data."""

    def __init__(self, rng: Random) -> None:
        """Take where chance comes from."""
        self._rng = rng
        self._members: list[str] = []

    def kind(self, level: Level) -> Kind:
        """What a unit of a level reports on an ordinary day."""
        return self._rng.choices(_KINDS, cum_weights=_BOOTH if level == "booth" else _ABOVE)[0]

    def hash(self) -> str:
        """64 hex digits, as a keyed hash looks."""
        return f"{self._rng.getrandbits(256):064x}"

    def draw(self, kind: Kind, level: Level, given: dict[str, Value]) -> Data:
        """Data of a report; `given` fields are taken over."""
        random, scale = self._rng.random, SCALE[level]
        data: Data
        if kind == "social_post":
            data = {"platform": self._platform(), "posts": 1 + int(random() ** 3 * 8)}
            if random() < 0.7:
                data["reach"] = int(scale * self._rng.lognormvariate(4.0, 0.9))
                if random() < 0.8:
                    data["engagements"] = int(data["reach"] * 0.25 * random())
        elif kind == "membership":
            data = self._membership(scale)
        elif kind == "tally":
            volunteers = random() < 0.15
            value = (
                int(scale * (2 + random() * 10)) if volunteers else int(scale * (5 + random() * 60))
            )
            data = {"metric": "volunteers" if volunteers else "doors_visited", "value": value}
        elif kind == "messaging_group":
            kept = random() < 0.65
            data = {
                "group_type": "whatsapp" if kept else "broadcast",
                "members": 8 + int(random() * (150 if kept else 80)),
            }
        elif kind == "committee_formed":
            data = {"members": 3 + int(random() * 12 * scale**0.3)}
        elif kind == "incharge_appointed":
            chance = random()
            data = {
                "role": "incharge"
                if chance < 0.6
                else "committee_member"
                if chance < 0.9
                else "head",
                "person": self.hash(),
            }
        else:
            programme = (
                "incharge"
                if random() < 0.5
                else "social_media"
                if random() < 0.6
                else "booth_management"
            )
            data = {"programme": programme, "attendees": 5 + int(random() * 20 * scale**0.5)}
        data.update(given)
        return data

    def _platform(self) -> str:
        chance = self._rng.random()
        return "whatsapp" if chance < 0.45 else "facebook" if chance < 0.8 else "twitter"

    def _membership(self, scale: int) -> Data:
        if self._rng.random() < 0.45:
            return {
                "mode": "manual",
                "count": 1 + int(scale**0.7 * self._rng.lognormvariate(1.6, 0.7)),
            }
        count = 1 + int(scale**0.7 * self._rng.lognormvariate(0.9, 0.7))
        data: Data = {"mode": "digital", "count": count}
        if self._rng.random() < 0.6:
            data["member_keys"] = [self._member() for _ in range(min(count, 25))]
        return data

    def _member(self) -> str:
        """A new member, or now and then one who has enrolled before, elsewhere."""
        known = self._members
        if known and self._rng.random() < 0.03:
            return known[int(self._rng.random() * len(known))]
        member = self.hash()
        if len(known) < 5_000:
            known.append(member)
        return member

    def amended(self, kind: Kind, data: Data) -> Data:
        """A correction of the amount."""
        field = {
            "social_post": "posts",
            "membership": "count",
            "tally": "value",
            "training_held": "attendees",
        }.get(kind, "members")
        if kind == "incharge_appointed":
            return {**data, "person": self.hash()}
        least = 1 if kind == "committee_formed" else 0
        amount = data[field]
        corrected = (
            amount + 1 if self._rng.random() < 0.3 else int(amount * self._rng.uniform(0.0, 1.6))
        )
        if corrected == amount:
            corrected += 1
        return {**data, field: max(least, corrected)}

    def reclassified(self, kind: Kind, data: Data) -> Data:
        """A correction of what was counted: another platform, another mode, another sort of group; of the amount where there is no choice."""
        if kind == "social_post":
            others = [
                platform
                for platform in ("facebook", "twitter", "whatsapp")
                if platform != data["platform"]
            ]
            return {**data, "platform": self._rng.choice(others)}
        if kind == "membership":
            return {**data, "mode": "digital" if data["mode"] == "manual" else "manual"}
        if kind == "messaging_group":
            return {
                **data,
                "group_type": "broadcast" if data["group_type"] == "whatsapp" else "whatsapp",
            }
        return self.amended(kind, data)

    def observed_again(self, kind: Kind, data: Data) -> Data:
        """What a later look at a lasting thing finds: mostly growth, sometimes its end."""
        chance = self._rng.random()
        if kind == "incharge_appointed" or (kind != "tally" and chance < 0.04):
            return {**data, "active": False}
        field = "value" if kind == "tally" else "members"
        return {
            **data,
            field: max(
                1,
                data[field] + int(data[field] * self._rng.gauss(0.06, 0.1)) + (chance < 0.5),
            ),
        }
