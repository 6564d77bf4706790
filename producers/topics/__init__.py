"""Reading and writing of whole Kafka topics, for commands and the gateway.

`reader` reads a topic to its end, `registry` publishes and reads the unit registry (`units`), and
`dead_letters` reads the dead-letter queue (`activity.rejected`). The package imports `pravah` and
`schemas`. Start with `reader`.
"""
