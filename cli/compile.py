"""Compile the worker's loops now (`python -m cli.compile`), so that no first worker has to; `make install` does it."""

import reference
from cli.prepare import default_dictionary, read_registry_files
from streams.admission import Admission
from streams.bulk_admission import BulkAdmission
from streams.warm_up import warm_up


def main() -> None:
    """Do it once, with the registry that comes with Pravah."""
    registry = read_registry_files(reference.registry_files())
    warm_up(BulkAdmission(Admission(registry, default_dictionary(), partition_of=lambda _: 0, max_future_hours=24)))


if __name__ == "__main__":
    main()
