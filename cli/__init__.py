"""The command `pravah`."""
