"""Where events come from: the SDK, imports from tables, and a simulator.

| module | what it is |
| --- | --- |
| `sdk` | `EventProducer`: sends events to Kafka so that none is lost, by kafka-python |
| `outbox` | a SQLite file before Kafka: what was put arrives, whatever dies |
| `gateway` | takes what field tools send over HTTP; `tools`, `mapping`, `pulls` and `submissions` are its parts |
| `importer` | rows of CSV and XLSX become events, by a mapping file |
| `tools` | what field tools send becomes `submissions` |
| `mapping` | submissions become observations of units, by a mapping file; `fields` has what both kinds of mapping files share |
| `gazetteer` | units by code, alias or name |
| `persons` | keyed hashes of persons |
| `registry` | the unit registry, published to the compacted topic `units` |
| `simulator` | a believable campaign; `territory`, `agenda`, `details` and `breakage` are its parts |
| `identity` | names for events that are the same at every try |
"""
