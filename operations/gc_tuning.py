"""Garbage collector settings for processes that hold millions of small objects for long."""

import gc


def tune_collector() -> None:
    """Collect rarely from now on, and never again the objects that exist already.

    A worker's open chunks and a simulation's pending deliveries are millions of long-lived objects;
    scanning them again and again took half of the time (`benchmarks/README.md`). Objects without
    cycles are still freed at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000_000, 20, 100)
