"""Services that commands, the demo and tests call: they compute, and neither parse nor print.

One that takes time reports its steps through a callback. The package may import everything below
`doctor` and `cli`. Start reading at `bootstrap.prepare`, which makes a deployment ready.
"""
