"""Registry files, read from the disk."""

from collections.abc import Iterable
from pathlib import Path

from schemas.registry import Registry
from schemas.registry_readers import registry_from_csv


def read_registry_files(paths: Iterable[Path]) -> Registry:
    """Read and check registry files (`*.units.csv`, `*.parents.csv`).

    Raises:
        schemas.registry.RegistryError: with all findings.
        OSError: a file cannot be read.
    """
    return registry_from_csv(
        {str(path): path.read_text(encoding="utf-8").splitlines() for path in paths}
    )
