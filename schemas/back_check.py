"""Back-checks: a sample of reports is checked in the field.

The outcome becomes the `verification` of the event.
"""

import csv
from collections.abc import Iterable
from math import sqrt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pravah.errors import FindingsError

# Columns of the sheet that goes to the field. Pravah fills all but the last one.
COLUMNS = ("key", "entity", "version", "unit", "kind", "day", "outcome")

Outcome = Literal["verified", "rejected"]


class CheckedEntity(BaseModel):
    """A line of a sheet that came back from the field."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: Annotated[str, StringConstraints(min_length=1)]
    entity: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    version: Annotated[int, Field(ge=1)]
    """The version that was checked."""
    outcome: Outcome


class SheetError(FindingsError):
    """A sheet cannot be used. `findings` lists everything that is wrong with it."""

    subject = "the sheet"


def outcomes_from_csv(lines: Iterable[str]) -> list[CheckedEntity]:
    """Read a sheet. Lines without an outcome have not been checked yet, and are left out.

    Raises:
        SheetError: with all findings, by line.
    """
    reader = csv.DictReader(lines)
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        message = (
            f"line 1: the columns {', '.join(missing)} are missing; "
            "the sheet is the one that `pravah backcheck draw` wrote"
        )
        raise SheetError([message])
    findings, found = [], dict[tuple[str, str], CheckedEntity]()
    for row in reader:
        if not (row["outcome"] or "").strip():
            continue
        try:
            line = CheckedEntity.model_validate(
                {**row, "outcome": row["outcome"].strip().casefold()}
            )
        except ValidationError as error:
            findings += [
                f"line {reader.line_num}: {'.'.join(map(str, item['loc']))}: {item['msg']}"
                for item in error.errors(include_url=False)
            ]
            continue
        if (line.key, line.entity) in found:
            findings.append(f"line {reader.line_num}: {line.entity} has an outcome already")
        found[line.key, line.entity] = line
    if findings:
        raise SheetError(findings)
    return list(found.values())


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Compute the 95 % interval of a share; from 0 to 1 without trials.

    E. B. Wilson (1927): Probable inference, the law of succession, and statistical inference.
    JASA 22.
    """
    if not trials:
        return 0.0, 1.0
    z = 1.959964
    share = successes / trials
    middle, spread = (
        share + z * z / (2 * trials),
        z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)),
    )
    # At shares of 0 and 1 one end is the share itself; rounding may put it beyond.
    return max(0.0, min(share, (middle - spread) / (1 + z * z / trials))), min(
        1.0, max(share, (middle + spread) / (1 + z * z / trials))
    )
