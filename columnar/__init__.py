"""The columnar engine: columns of many rows, and compiled kernels over their bytes.

It imports numpy, numba and pydantic, and of ours `pravah` only; it does no I/O.
Start with `texts` (columns of text) and `columns` (all other columns, and blocks of them), then
`decoding` (events from JSON) and `kernels`.
"""
