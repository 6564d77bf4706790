"""The pure core: from records of the log to exact figures at every level, without I/O.

It may import `columnar`, `schemas` and `pravah`; it reaches the ledger only through the port
`storage.Storage`, which a caller passes in.
Start with `engine`, the entry point; a batch then passes `batch_validation`, `assigned_partition`,
`seen_filter`, `entity_cache`, `open_chunk`, `contribution`, `fold` and `flush`, in this order.
"""
