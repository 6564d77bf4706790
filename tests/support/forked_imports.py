"""What `pravah worker` imports and loads at its start: `tests.support.forked` forks after this."""

import gc

import cli.main
import cli.worker
from operations import compile as kernels

__all__ = ["cli"]

kernels.main()
# A collection in a forked process would copy what it shares with the others.
gc.collect()
gc.freeze()
