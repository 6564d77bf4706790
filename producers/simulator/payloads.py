"""The `data` of simulated reports: plausible numbers by kind and level, and their corrections."""

from itertools import accumulate
from random import Random
from typing import Any

from pravah.events import Kind
from pravah.units import Level
from schemas.plan import Value

Data = dict[str, Any]

# Reach of a unit by level, relative to a booth.
SCALE: dict[Level, int] = {
    "booth": 1,
    "assembly": 8,
    "district": 30,
    "division": 60,
    "state": 200,
    "national": 1_000,
}

# Kind → share in the reports besides the plan, of booths and of other units.
_KIND_SHARES: dict[Kind, tuple[float, float]] = {
    "social_post": (0.42, 0.60),
    "membership": (0.33, 0.14),
    "tally": (0.18, 0.10),
    "messaging_group": (0.04, 0.05),
    "committee_formed": (0.012, 0.03),
    "incharge_appointed": (0.010, 0.03),
    "training_held": (0.008, 0.05),
}
_KINDS = tuple(_KIND_SHARES)
_BOOTH_WEIGHTS = list(accumulate(booth for booth, _ in _KIND_SHARES.values()))
_OTHER_WEIGHTS = list(accumulate(other for _, other in _KIND_SHARES.values()))
# Members that may enrol a second time.
_MAX_KNOWN_MEMBERS = 5_000
_MAX_MEMBER_KEYS = 25


class PayloadGenerator:
    """Draws and changes the `data` of events."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._members: list[str] = []

    def draw_kind(self, level: Level) -> Kind:
        """Draw the kind of a report besides the plan."""
        weights = _BOOTH_WEIGHTS if level == "booth" else _OTHER_WEIGHTS
        return self._rng.choices(_KINDS, cum_weights=weights)[0]

    def draw_hash(self) -> str:
        """Draw 64 hex digits, which look like a keyed hash."""
        return f"{self._rng.getrandbits(256):064x}"

    def draw_data(self, kind: Kind, level: Level, fixed: dict[str, Value]) -> Data:
        """Draw the data of a new report.

        Args:
            kind: the event's kind.
            level: of the reporting unit.
            fixed: fields that replace drawn ones.
        """
        scale = SCALE[level]
        match kind:
            case "social_post":
                data = self._draw_post(scale)
            case "membership":
                data = self._draw_membership(scale)
            case "tally":
                data = self._draw_tally(scale)
            case "messaging_group":
                data = self._draw_group()
            case "committee_formed":
                data = {"members": 3 + int(self._rng.random() * 12 * scale**0.3)}
            case "incharge_appointed":
                data = self._draw_appointment()
            case _:
                data = self._draw_training(scale)
        data.update(fixed)
        return data

    def _draw_post(self, scale: int) -> Data:
        random = self._rng.random
        data: Data = {"platform": self._draw_platform(), "posts": 1 + int(random() ** 3 * 8)}
        if random() < 0.7:
            data["reach"] = int(scale * self._rng.lognormvariate(4.0, 0.9))
            if random() < 0.8:
                data["engagements"] = int(data["reach"] * 0.25 * random())
        return data

    def _draw_platform(self) -> str:
        chance = self._rng.random()
        return "whatsapp" if chance < 0.45 else "facebook" if chance < 0.8 else "twitter"

    def _draw_membership(self, scale: int) -> Data:
        if self._rng.random() < 0.45:
            return {
                "mode": "manual",
                "count": 1 + int(scale**0.7 * self._rng.lognormvariate(1.6, 0.7)),
            }
        count = 1 + int(scale**0.7 * self._rng.lognormvariate(0.9, 0.7))
        data: Data = {"mode": "digital", "count": count}
        if self._rng.random() < 0.6:
            data["member_keys"] = [self._draw_member() for _ in range(min(count, _MAX_MEMBER_KEYS))]
        return data

    def _draw_member(self) -> str:
        """Draw a new member, or seldom one who has enrolled elsewhere before."""
        known = self._members
        if known and self._rng.random() < 0.03:
            return known[int(self._rng.random() * len(known))]
        member = self.draw_hash()
        if len(known) < _MAX_KNOWN_MEMBERS:
            known.append(member)
        return member

    def _draw_tally(self, scale: int) -> Data:
        random = self._rng.random
        if random() < 0.15:
            return {"metric": "volunteers", "value": int(scale * (2 + random() * 10))}
        return {"metric": "doors_visited", "value": int(scale * (5 + random() * 60))}

    def _draw_group(self) -> Data:
        is_whatsapp = self._rng.random() < 0.65
        return {
            "group_type": "whatsapp" if is_whatsapp else "broadcast",
            "members": 8 + int(self._rng.random() * (150 if is_whatsapp else 80)),
        }

    def _draw_appointment(self) -> Data:
        chance = self._rng.random()
        role = "incharge" if chance < 0.6 else "committee_member" if chance < 0.9 else "head"
        return {"role": role, "person": self.draw_hash()}

    def _draw_training(self, scale: int) -> Data:
        random = self._rng.random
        programme = (
            "incharge"
            if random() < 0.5
            else "social_media"
            if random() < 0.6
            else "booth_management"
        )
        return {"programme": programme, "attendees": 5 + int(random() * 20 * scale**0.5)}

    def amend(self, kind: Kind, data: Data) -> Data:
        """Correct the amount, or the person of an appointment."""
        field = {
            "social_post": "posts",
            "membership": "count",
            "tally": "value",
            "training_held": "attendees",
        }.get(kind, "members")
        if kind == "incharge_appointed":
            return {**data, "person": self.draw_hash()}
        least = 1 if kind == "committee_formed" else 0
        amount = data[field]
        corrected = (
            amount + 1 if self._rng.random() < 0.3 else int(amount * self._rng.uniform(0.0, 1.6))
        )
        if corrected == amount:
            corrected += 1
        return {**data, field: max(least, corrected)}

    def reclassify(self, kind: Kind, data: Data) -> Data:
        """Correct the platform, the mode or the type of group; the amount of other kinds."""
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
        return self.amend(kind, data)

    def observe_again(self, kind: Kind, data: Data) -> Data:
        """Draw the data of a later observation: mostly growth, sometimes the end."""
        chance = self._rng.random()
        if kind == "incharge_appointed" or (kind != "tally" and chance < 0.04):
            return {**data, "active": False}
        field = "value" if kind == "tally" else "members"
        grown = data[field] + int(data[field] * self._rng.gauss(0.06, 0.1)) + (chance < 0.5)
        return {**data, field: max(1, grown)}
