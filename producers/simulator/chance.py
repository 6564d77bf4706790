"""Random decisions and delays."""

from random import Random

from producers.simulator.clock import DAY_SECONDS

# How many hits `take` may run ahead of the share.
_MAX_AHEAD = 3
# Spread of delays: sigma of the lognormal distribution.
_DELAY_SIGMA = 1.1


class Quota:
    """Decides yes or no at random, with a share of yes that is exact in the long run.

    At any time the number of hits is within one or two of the share.
    """

    def __init__(self, rng: Random, rate: float) -> None:
        """Create a quota.

        Args:
            rng: the random generator.
            rate: expected hits for each decision.
        """
        self._random, self._rate, self._due = rng.random, rate, 0.0

    def hit(self) -> bool:
        """Return True with a probability."""
        self._due += self._rate
        if self._random() < self._due:
            self._due -= 1
            return True
        return False

    def take(self) -> bool:
        """Count one more hit, without a draw. False if that leads too far ahead of the share."""
        if self._rate and self._due > -_MAX_AHEAD:
            self._due -= 1
            return True
        return False


def draw_delay(rng: Random, median_minutes: float, *, max_days: int) -> int:
    """Draw a delay in seconds, lognormal with that median, cut at `max_days`."""
    return int(
        min(60 * median_minutes * rng.lognormvariate(0, _DELAY_SIGMA), max_days * DAY_SECONDS)
    )
