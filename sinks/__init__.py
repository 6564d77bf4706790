"""ClickHouse: the schema, the worker's storage, and queries for everyone who reads figures.

May import `rollup`, `columnar`, `schemas` and `pravah`; nothing else speaks to ClickHouse. Start at
`migrations/` for the tables and views, at `rollup_store` for what a worker reads and writes, and at
`recount` for the independent way from the ledger to every figure.
"""
