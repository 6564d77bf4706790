"""Unit codes and levels: what a code says by itself, without the registry.

A code names its state and, for a booth, its assembly. It never names a district or division, because those change.
"""

import re
from typing import Literal, get_args

Level = Literal["national", "state", "division", "district", "assembly", "booth"]

LEVELS: tuple[Level, ...] = get_args(Level)
"""From the top down; a parent stands before its child."""

RANK: dict[Level, int] = {level: rank for rank, level in enumerate(LEVELS)}

PATTERNS: dict[Level, str] = {
    "national": r"IN",
    "state": r"[A-Z]{2}",
    "division": r"[A-Z]{2}-V-[A-Z0-9]{1,8}",
    "district": r"[A-Z]{2}-D-[A-Z0-9]{1,8}",
    "assembly": r"[A-Z]{2}-AC[0-9]{3}",
    "booth": r"[A-Z]{2}-AC[0-9]{3}-B[0-9]{4}",
}
"""One regular expression a level, unanchored; ISO 3166-2:IN codes without their `IN-`."""

UNIT_CODE_PATTERN = r"^[A-Z]{2}(-V-[A-Z0-9]{1,8}|-D-[A-Z0-9]{1,8}|-AC[0-9]{3}(-B[0-9]{4})?)?$"
"""Any unit code, anchored."""

ASSEMBLY_LENGTH = len("CG-AC084")
_CODE = re.compile(UNIT_CODE_PATTERN)


def level_of(code: str) -> Level:
    """The level that a unit code names.

    Raises:
        ValueError: the code has none of the known forms.
    """
    if not _CODE.fullmatch(code):
        msg = f"{code!r} is not a unit code; expected for example IN, CG, CG-V-RPR, CG-D-NRP, CG-AC084 or CG-AC084-B0017"
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
    """The Kafka key of what a unit reports: its assembly for booths and assemblies, else the unit itself.

    All versions of an entity share a key, so they share a partition and are seen in order. The code must be well formed.
    """
    return code[:ASSEMBLY_LENGTH] if code[2:5] == "-AC" else code


def state_of(code: str) -> str | None:
    """The state that a code names, or None for the nation."""
    return None if code == "IN" else code[:2]
