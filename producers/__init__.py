"""Who sends events to Kafka, and what the senders share.

| who sends | package |
| --- | --- |
| field tools, by hooks over HTTP | `gateway` |
| field tools, when the gateway pulls from their APIs | `pulls` |
| people with a CSV or XLSX file | `tables` |
| the simulator of a campaign | `simulator` |

They share `mapping` (field data to events: mapping files, unit look-up, pseudonyms, event ids),
`topics` (reading and writing whole topics) and `outbox` (a SQLite file before Kafka, so that no
event is lost). `examples` has a source, a mapping file and a sample for each tool. Programs outside
Pravah send with `pravah.EventProducer`.

The package imports `pravah`, `schemas` and `reference` only. Start with `gateway`, and follow the
body of a hook through `mapping`.
"""
