"""Rules: pure functions from `doctor.facts` to findings, one module for each area.

They do no I/O. Start reading at `RULES`, the table of every check, and at `diagnose`.
"""

from dataclasses import dataclass

from doctor.facts import Facts, UnavailableError
from doctor.rules import clickhouse, gateway, kafka, registry, security, settings
from doctor.rules.base import Area, Finding, Rule, Verdict

__all__ = ["RULES", "Area", "Check", "Finding", "Rule", "Verdict", "diagnose"]

# How the text of a check begins whose facts could not be gathered.
NOT_CHECKED = "not checked"

RULES: tuple[Rule, ...] = (
    *kafka.RULES,
    *clickhouse.RULES,
    *security.RULES,
    *registry.RULES,
    *gateway.RULES,
    *settings.RULES,
)


@dataclass(frozen=True)
class Check:
    """A finding, with the rule that made it."""

    area: Area
    name: str
    verdict: Verdict
    found: str
    remedy: str


def diagnose(facts: Facts) -> list[Check]:
    """Apply every rule, in the order of `RULES`.

    A rule whose facts could not be gathered gives a warning that says so.
    """
    checks = []
    for area, name, judge in RULES:
        try:
            findings = list(judge(facts))
        except UnavailableError as reason:
            findings = [
                Finding(
                    "warning",
                    f"{NOT_CHECKED}: {reason}",
                    "repair that first, then call `pravah doctor` again",
                )
            ]
        checks += [Check(area, name, *finding) for finding in findings]
    return checks
