"""The environment of processes that Pravah starts. None of them makes hashes of persons."""

import os

# Who has them can tell whether a phone number is among the hashes.
PERSON_VARIABLES = frozenset({"PRAVAH_PERSON_KEY", "PRAVAH_PERSON_KEYS_OLD"})


def child_environment() -> dict[str, str]:
    """Return this process's environment without the keys of the hashes that stand for persons.

    Settings are read without regard to case, so the variables are left out in any case.
    """
    return {
        name: value for name, value in os.environ.items() if name.upper() not in PERSON_VARIABLES
    }
