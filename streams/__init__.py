"""The roll-up worker: the Faust shell around the pure core `rollup`.

It may import every layer below it but no other service; only `app`, `transport` and
`health_snapshot` know Faust, and only `worker` has threads and locks.
Start with `worker`, whose docstring has the life of a chunk step by step, then read `app`.
"""
