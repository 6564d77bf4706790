"""Unit codes and levels, as far as a code itself tells them, without the registry.

A code names its state and, for a booth, its assembly. It never names a district or division,
because those change.
"""

import re
from typing import Literal, get_args

Level = Literal["national", "state", "division", "district", "assembly", "booth"]

# From the top down: a parent level comes before its child level.
LEVELS: tuple[Level, ...] = get_args(Level)

RANK: dict[Level, int] = {level: rank for rank, level in enumerate(LEVELS)}

# One unanchored regular expression per level; ISO 3166-2:IN codes without `IN-`.
PATTERNS: dict[Level, str] = {
    "national": r"IN",
    "state": r"[A-Z]{2}",
    "division": r"[A-Z]{2}-V-[A-Z0-9]{1,8}",
    "district": r"[A-Z]{2}-D-[A-Z0-9]{1,8}",
    "assembly": r"[A-Z]{2}-AC[0-9]{3}",
    "booth": r"[A-Z]{2}-AC[0-9]{3}-B[0-9]{4}",
}

# Any unit code, anchored.
UNIT_CODE_PATTERN = r"^[A-Z]{2}(-V-[A-Z0-9]{1,8}|-D-[A-Z0-9]{1,8}|-AC[0-9]{3}(-B[0-9]{4})?)?$"

ASSEMBLY_LENGTH = len("CG-AC084")
_CODE = re.compile(UNIT_CODE_PATTERN)


def level_of(code: str) -> Level:
    """Return the level of a unit code.

    Raises:
        ValueError: the code has none of the known forms.
    """
    if not _CODE.fullmatch(code):
        msg = (
            f"{code!r} is not a unit code; expected for example IN, CG, CG-V-RPR, CG-D-NRP, "
            "CG-AC084 or CG-AC084-B0017"
        )
        raise ValueError(msg)
    if code == "IN":
        return "national"
    if len(code) == len("CG"):
        return "state"
    if code[3] == "V":
        return "division"
    if code[3] == "D":
        return "district"
    return "assembly" if len(code) == ASSEMBLY_LENGTH else "booth"


def routing_key(code: str) -> str:
    """Return the Kafka key of a unit's events: its assembly for a booth, else its own code.

    All versions of an entity share a key, so they share a partition and arrive in order. The code
    must be well formed.
    """
    return code[:ASSEMBLY_LENGTH] if code[2:5] == "-AC" else code


def state_of(code: str) -> str | None:
    """Return the state that a code names, or None for the nation."""
    return None if code == "IN" else code[:2]
