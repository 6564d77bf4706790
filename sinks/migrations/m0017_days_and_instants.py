"""Views whose days and instants cannot be misread (`sinks/view_parameters.py` says how).

- `plan_status_on(day)`, `plan_progress_on(day)`, `plan_forecast_on(day, share)`,
  `defaulters_on(day)`, `unit_activity_on(day, days)`, `members_on(day, exact_up_to)`,
  `members_named_twice_on(day, unit)`: what the views that end in `_at`, or take `as_of`, show of
  the day of that instant. `day` is a day in Asia/Kolkata, or an instant with its zone.
- `rollups_known_at(instant)`: `rollups_as_known` of an instant with its zone.
- `reporting_rates` and `unusual_values` refuse a `first` or `last` that is no day. Before,
  2022-02-30 was read as 2022-03-02.

The older views remain. Their `as_of` is a `DateTime64(3)` in the zone of the server, whatever zone
the argument has.

Each of these views is for the accounts that may read its older form. `schemas/readers.py` names
what `grafana` and `aicc` read, `schemas/scopes.py` what accounts of a unit read: all of these but
`rollups_known_at`. Views read their tables with the rights of the account that queries them.
"""

from sinks.migrate import Schema
from sinks.migrations.m0004_repairs_and_as_known import as_known
from sinks.migrations.m0007_control_room import activity, rates
from sinks.migrations.m0009_forecast_and_unusual_values import unusual
from sinks.migrations.m0010_members_and_back_checks import members, named_twice
from sinks.plan_views import defaulters, plan_forecast, plan_progress, plan_status
from sinks.view_parameters import day, instant, noon_of

_DONE = "plan_done"


def forward(schema: Schema) -> list[str]:
    """Create the views, and those of a range of days anew."""
    database = schema.database
    as_of = noon_of(day("day"))
    on_day = "(day = {day:String})"
    first, last = day("first"), day("last")
    views = {
        "plan_status_on": plan_status(database, done=_DONE, as_of=as_of),
        "plan_progress_on": plan_progress(database, done=_DONE, as_of=as_of),
        "plan_forecast_on": plan_forecast(
            database, done=_DONE, as_of=as_of, share="{share:Float64}"
        ),
        "defaulters_on": defaulters(
            database, status=f"plan_status_on{on_day}", progress=f"plan_progress_on{on_day}"
        ),
        "unit_activity_on": activity(database, as_of),
        "members_on": members(database, as_of),
        "members_named_twice_on": named_twice(database, as_of),
        "rollups_known_at": as_known(schema, instant("instant")),
    }
    return [
        *(schema.create_view(name, query) for name, query in views.items()),
        schema.drop_view("reporting_rates"),
        schema.create_view("reporting_rates", rates(database, first, last)),
        schema.drop_view("unusual_values"),
        schema.create_view("unusual_values", unusual(database, first, last)),
    ]


def backward(schema: Schema) -> list[str]:
    """Drop the views, and restore those of a range of days."""
    views = (
        "rollups_known_at",
        "members_named_twice_on",
        "members_on",
        "unit_activity_on",
        "defaulters_on",
        "plan_forecast_on",
        "plan_progress_on",
        "plan_status_on",
    )
    return [
        schema.drop_view("unusual_values"),
        schema.create_view("unusual_values", unusual(schema.database)),
        schema.drop_view("reporting_rates"),
        schema.create_view("reporting_rates", rates(schema.database)),
        *(schema.drop_view(name) for name in views),
    ]
