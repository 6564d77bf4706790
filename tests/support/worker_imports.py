"""What a worker imports and loads at its start: `tests.support.forked_worker` forks after this."""

import cli.main
import cli.worker
from operations import compile as kernels

__all__ = ["cli"]

kernels.main()
