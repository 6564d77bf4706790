"""Facts about a deployment: Kafka, ClickHouse, the gateway, settings and files.

They are gathered once, without changing anything, and without judging them. Start reading at
`deployment`: `gather` returns the `Facts` that every rule of `doctor.rules` gets.
"""

from doctor.facts.deployment import Facts, UnavailableError, UnitsTopic, gather

__all__ = ["Facts", "UnavailableError", "UnitsTopic", "gather"]
