"""Headquarters' copy of the states' figures, which `pravah pull` keeps current over the API.

May import `pravah` (the HTTP client, settings, days) and `sinks`. Start reading at `pull.Puller`:
`sources` says where to pull from, `store` where the copy is kept.
"""
