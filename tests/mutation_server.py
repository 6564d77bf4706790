"""Runs the tests on one mutant after another, for `tests.mutation`.

Each run is a fork of this process, which has imported the libraries, so that it begins at once.
Reads lines of standard input, a JSON object with `module`, `tests` and `timeout`; writes a line
for each: `passed`, `failed` or `timeout`.

Kernels of the module under test are not compiled, which would take half a minute each: they run as
plain Python, where a wrong index is an error.
"""

import importlib
import json
import os
import signal
import sys

import numpy as np
import pytest

from columnar.kernels import jit

# What the tests import, without the packages that have a mutant.
LIBRARIES = (
    *("aiokafka.consumer.fetcher", "aiokafka.record.memory_records", "clickhouse_driver"),
    *("faust", "hypothesis", "hypothesis.strategies", "numba", "prometheus_client", "pydantic"),
    *("pydantic_settings", "_pytest.assertion.rewrite", "hypothesis.internal.conjecture.engine"),
    *("columnar.columns", "columnar.decoding", "columnar.texts", "columnar.kernels.hashing"),
    *("columnar.kernels.records", "columnar.kernels.sets"),
    *("schemas.metrics", "schemas.registry_readers"),
)
OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
KERNELS = "rollup/contribution.py"


def main() -> None:
    sys.dont_write_bytecode = True
    for name in LIBRARIES:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        answers.write(outcome(**json.loads(line)) + "\n")
        answers.flush()


def outcome(module: str, tests: list[str], timeout: int) -> str:
    child = os.fork()
    if child == 0:
        signal.alarm(timeout)  # ends the process
        code = 1
        try:
            if module == KERNELS:
                interpret_kernels()
            code = pytest.main([*OPTIONS, *tests])
        finally:
            os._exit(int(code))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return "timeout"
    return "passed" if status == 0 else "failed"


def interpret_kernels() -> None:
    """Let the kernels of `KERNELS` run as plain Python; fields of records become attributes."""
    jit.compiled = jit.inlined = lambda function: function
    from rollup import contribution

    for name in ("VERSION_DTYPE", "AMOUNT_DTYPE"):
        setattr(contribution, name, np.dtype((np.record, getattr(contribution, name))))


if __name__ == "__main__":
    main()
