"""From field data to events: what the gateway, the pulls and the importer of tables share.

A field tool's body is read into `Submission`s (`tools`), a form's mapping file (`form_mapping`)
turns these into `MappedEvent`s (`form_mapper`), and both kinds of mapping files share
`conversions`. Units are looked up in `gazetteer`, persons are hashed in `pseudonyms`, and
`delivery_ids` derives an `event_id`. Everything is pure, without I/O except reading alias files; it
imports `pravah` and `schemas` only. Start with `submissions`, then `form_mapping`.
"""
