"""Compiled functions over arrays of numbers and bytes, one module for each subject.

A kernel imports numpy, numba, `columnar.arrays` and constants of this package. It calls kernels of
its own file only: numba caches a compiled kernel by the file that has it, and would not notice a
change in another one. Start with `text`; `columnar.texts` and `columnar.decoding` call the kernels.

Rules, unless a docstring says otherwise:

- A column of texts is three arrays: `buffer` (uint8) has the bytes of all texts; `begins` and
  `lengths` (int64, one item a row) say where each text begins in it and how many bytes it has.
- The caller owns the arrays it passes. A kernel writes only to those that its docstring names, and
  returns new arrays, which belong to the caller.
- A kernel does not grow an array. Where it could overflow, the caller reserves enough beforehand;
  the docstring says how much.
- Kernels hold no lock and release the GIL: no other thread may change their arguments meanwhile.
- Indices are not checked. The tests have also been run with `NUMBA_BOUNDSCHECK=1`.
- A kernel is compiled for each combination of dtypes, and once more for read-only arrays: callers
  pass the same kinds always, so that a warm-up compiles all that is needed.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from columnar.kernels import hashing, identifiers, json, text, time

__all__ = ["hashing", "identifiers", "json", "text", "time"]


def __getattr__(name: str) -> ModuleType:
    """Import a module at its first use: a client that writes no columns needs no numba."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return import_module(f"{__name__}.{name}")
