"""Compile the kernels (`python -m operations.compile`), so that the first worker need not.

`make install` runs it.
"""

import reference
from operations.registry_files import read_registry_files
from reference.defaults import default_dictionary
from rollup.batch_validation import BatchValidator
from rollup.validation import Validator
from rollup.warm_up import warm_up


def main() -> None:
    """Run every kernel once, with the registry that comes with Pravah."""
    registry = read_registry_files(reference.registry_files())
    warm_up(
        BatchValidator(
            Validator(registry, default_dictionary(), partition_of=lambda _: 0, max_future_hours=24)
        )
    )


if __name__ == "__main__":
    main()
