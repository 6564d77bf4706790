"""Rules about what an account, or the ClickHouse process, could come to (docs/security.md)."""

from collections.abc import Iterator

from doctor.facts import Facts, UnavailableError
from doctor.rules.base import Finding, Rule

_MAX_SHOWN = 3


def _confinement(facts: Facts) -> Iterator[Finding]:
    if not facts.is_embedded:
        yield Finding("ok", "a server elsewhere: its own installation confines it")
    elif facts.confinement_weakness:
        yield Finding(
            "warning",
            facts.confinement_weakness,
            "use a kernel with Landlock, or a ClickHouse server of its own, as docker compose has",
        )
    else:
        yield Finding("ok", "the embedded server opens its own folders alone")


def _escapes(facts: Facts) -> Iterator[Finding]:
    if facts.escapes_or_reason is None:
        yield Finding("ok", "not tried: `pravah doctor --escapes` tries what accounts must not do")
        return
    if isinstance(facts.escapes_or_reason, str):
        raise UnavailableError(facts.escapes_or_reason)
    is_well = True
    for account, found in facts.escapes_or_reason.items():
        if found:
            is_well = False
            shown = "; ".join(found[:_MAX_SHOWN])
            more = f"; and {len(found) - _MAX_SHOWN} more" if len(found) > _MAX_SHOWN else ""
            yield Finding(
                "failure",
                f"{account} is not refused: {shown}{more}",
                "give the account the grants and the profile of docker/clickhouse/users.xml",
            )
    if is_well:
        accounts = ", ".join(facts.escapes_or_reason)
        yield Finding("ok", f"every attempt is refused, as {accounts}")


RULES = (
    Rule("ClickHouse", "confinement", _confinement),
    Rule("ClickHouse", "escapes", _escapes),
)
