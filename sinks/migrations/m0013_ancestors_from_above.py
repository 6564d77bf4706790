"""What stands below a unit is found without reading what stands below others: `unit_ancestors` is kept a second time, sorted by ancestor.

Its own order answers what a unit stands below. At national size a state's wall read all six million rows of it for each panel; with the projection `below` it reads those of the state.
A registry that is loaded later comes with it, since it is loaded into a table like this one.
"""

from sinks.migrate import Schema


def forward(schema: Schema) -> list[str]:
    """Add the projection, for the rows that are there too."""
    return [
        *schema.alter_table(
            "unit_ancestors", "ADD PROJECTION below (SELECT * ORDER BY ancestor, unit)"
        ),
        *schema.alter_table("unit_ancestors", "MATERIALIZE PROJECTION below"),
    ]


def backward(schema: Schema) -> list[str]:
    """Take it away."""
    return schema.alter_table("unit_ancestors", "DROP PROJECTION below")
