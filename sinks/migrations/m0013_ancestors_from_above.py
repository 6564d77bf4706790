"""A projection of `unit_ancestors` sorted by ancestor, to find the units below one.

The table's own order finds the ancestors of a unit. At national size a state's wall read all six
million rows of it for each panel; with the projection `below` it reads those of the state. A
registry that is loaded later has it, too, since it is loaded into a table like this one.
"""

from sinks.migrate import Schema


def forward(schema: Schema) -> list[str]:
    """Add the projection, also for the rows that exist."""
    return [
        *schema.alter_table(
            "unit_ancestors", "ADD PROJECTION below (SELECT * ORDER BY ancestor, unit)"
        ),
        *schema.alter_table("unit_ancestors", "MATERIALIZE PROJECTION below"),
    ]


def backward(schema: Schema) -> list[str]:
    """Drop it."""
    return schema.alter_table("unit_ancestors", "DROP PROJECTION below")
