"""Compiled functions over arrays of numbers and bytes, one module for each subject.

Kernels import only numpy, numba and `columnar.arrays`. They call kernels of their own file only:
numba caches a compiled kernel by the file it stands in, so a change in another file would not be
noticed. Start reading with `text`; `columnar.texts` and `columnar.decoding` call most of them.

Common rules, unless a kernel says otherwise:

- A column of texts is `(buffer, begins, lengths)`: uint8 bytes, and two int64 arrays of one length
  that say where each text begins in the bytes and how many bytes it has.
- The caller owns every array it passes; kernels write only to those whose docstring says so, and
  return new arrays that the caller then owns.
- Kernels release the GIL: no other thread may change their arguments while they run.
- Indices are not checked. The tests have also been run with `NUMBA_BOUNDSCHECK=1`.
"""
