"""From field data to events: what the gateway, the pulls and the importer of tables share.

A field tool's body is read into `Submission`s (`tools`), a form's mapping file (`form_mapping`)
turns these into `MappedEvent`s (`form_mapper`), and both kinds of mapping files share `conversions`
and `mapping_checks`. Units are looked up in `gazetteer`, persons are hashed in `pseudonyms`, and
`delivery_ids` derives an `event_id`. `text` compares texts; `phones`, `placeholders` and
`garbled_text` say why a text is no number or identity. Everything is pure, without I/O except
reading alias files and the metric dictionary; it imports `pravah`, `schemas` and `reference` only.
Start with `submissions`, then `form_mapping`.
"""
