"""The options of a simulation.

The random generator is seeded with these options as JSON. So the names, the order and the defaults
of the fields determine every simulated byte.
"""

from datetime import date
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from pravah.days import LAST_DAY, date_of, day_of
from producers.simulator.clock import DAY_SECONDS, midnight_of

Share = Annotated[float, Field(ge=0, le=0.5)]
_MAX_EXTRA_SHARE = 0.8


class SimulationOptions(BaseModel):
    """What to simulate. Shares are of all deliveries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 1
    state: str | None = Field(
        default="CG", description="code of the state whose units report; all units if None"
    )
    first: date = Field(
        default=date(2022, 2, 1), description="first day (Asia/Kolkata) on which something occurs"
    )
    last: date = Field(
        default=date(2022, 7, 31), description="last such day; deliveries may come weeks later"
    )
    begin: AwareDatetime | None = Field(
        default=None, description="on the first day, nothing occurs before this instant"
    )
    events: int = Field(
        default=200_000,
        ge=1,
        description="number of deliveries of all sorts, within 2 % from 1,000 on",
    )
    repeats: Share = Field(default=0.05, description="the same bytes again, minutes to days later")
    corrections: Share = Field(
        default=0.03,
        description="a higher version with another amount, day, unit or classification",
    )
    retractions: Share = Field(
        default=0.01, description="retracted entities; some are reported again"
    )
    broken: Share = Field(
        default=0.01, description="records that are no events, or that validation refuses"
    )
    late: Share = Field(
        default=0.02, description="first delivered two to six weeks after they occurred"
    )
    wrong_key: Share = Field(
        default=0.002, description="sent under a key that is not the unit's routing key"
    )
    checks: Share = Field(
        default=0.02, description="a higher version after a back-check: verified, or rejected"
    )
    silent: Share = Field(default=0.05, description="share of the booths that never report")
    steady: bool = Field(
        default=False,
        description="for a live show at any hour: no rhythm of hours and weekdays, "
        "every tool is online",
    )

    @model_validator(mode="after")
    def _check(self) -> "SimulationOptions":
        if self.last < self.first:
            msg = f"the last day, {self.last}, lies before the first, {self.first}"
            raise ValueError(msg)
        if self.first < date(2000, 1, 1) or day_of(self.last) > LAST_DAY:
            msg = f"days must lie between 2000-01-01 and {date_of(LAST_DAY)}"
            raise ValueError(msg)
        if (
            self.begin is not None
            and not 0 <= self.begin.timestamp() - midnight_of(day_of(self.first)) < DAY_SECONDS
        ):
            msg = f"begin must lie on the first day, {self.first} (Asia/Kolkata)"
            raise ValueError(msg)
        if self.extra_share > _MAX_EXTRA_SHARE:
            msg = (
                "repeats, corrections, retractions, broken and checks together must leave "
                "at least 20 % for first reports"
            )
            raise ValueError(msg)
        return self

    @property
    def begin_second(self) -> int:
        """Second since 1970-01-01T00:00Z before which nothing occurs."""
        return (
            midnight_of(day_of(self.first)) if self.begin is None else int(self.begin.timestamp())
        )

    @property
    def extra_share(self) -> float:
        """Share of the deliveries that are no first reports or observations."""
        return self.repeats + self.corrections + self.retractions + self.broken + self.checks
