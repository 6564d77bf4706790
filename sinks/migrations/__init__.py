"""The schema's numbered steps; `sinks.migrate` applies them."""
