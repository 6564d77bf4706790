"""Default values that commands, the API and the queries share."""

# Days without a report after which a unit counts as silent.
SILENT_DAYS = 14
# Share of the units for which a day is forecast.
SHARE = 0.8
# Days of the widest band of a forecast whose end is shown to people; of a wider one they see the
# first day alone.
MAX_BAND_DAYS = 45
# Number of keys below a unit up to which persons are counted exactly; above, approximately.
EXACT_UP_TO = 1_000_000
