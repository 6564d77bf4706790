"""Compile the worker's loops now (`python -m operations.compile`), so that no first worker has to; `make install` does it."""

import reference
from operations.bootstrap import default_dictionary
from operations.registry import read_registry_files
from rollup.batch_validation import BatchValidator
from rollup.validation import Validator
from rollup.warm_up import warm_up


def main() -> None:
    """Do it once, with the registry that comes with Pravah."""
    registry = read_registry_files(reference.registry_files())
    warm_up(
        BatchValidator(
            Validator(registry, default_dictionary(), partition_of=lambda _: 0, max_future_hours=24)
        )
    )


if __name__ == "__main__":
    main()
