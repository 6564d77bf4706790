"""The gateway: receives events and webhooks over HTTP, and relays them to Kafka.

Holds the HTTP application (`app`), the ingest service (`ingest`), and one SQLite file (`store`)
with the archive, the sent events of each submission, and the outbox; see docs/adr/0014. Imports
`producers.mapping` and `producers.outbox`, never `producers.pulls`. Start reading at `ingest`: a
hook's body becomes submissions (`producers.mapping.tools`), mapped events
(`producers.mapping.form_mapper`), then versioned events (`submission_diff`) in the outbox.
"""
