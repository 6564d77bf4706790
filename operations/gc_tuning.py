"""Python's garbage collector, told about processes that hold millions of small objects for long."""

import gc


def collect_seldom() -> None:
    """Look for garbage seldom from now on, and never again through what is there already.

    A worker's open chunks and a simulation's pending deliveries are millions of objects that live on; looking through them again and again took half of the time
    (`benchmarks/README.md`). What has no cycles is freed at once all the same.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000_000, 20, 100)
