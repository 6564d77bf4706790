"""Default values that commands, the API and the queries share."""

# Days without a report after which a unit counts as silent.
SILENT_DAYS = 14
# Share of the units for which a day is forecast.
SHARE = 0.8
# Number of keys below a unit up to which persons are counted exactly; above, approximately.
EXACT_UP_TO = 1_000_000
