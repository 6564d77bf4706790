"""What `pravah worker` imports and loads at its start: `tests.support.forked` forks after this."""

import cli.main
import cli.worker
from operations import compile as kernels

__all__ = ["cli"]

kernels.main()
