"""Entry point of the command `pravah`, and of `python -m pravah`.

The wheel keeps the packages of the application in the folder `_application` beside this file, out
of the way of packages named `api` or `cli` in the user's environment. In a checkout they are at the
top, and the folder does not exist. See docs/adr/0021.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

_APPLICATION = Path(__file__).with_name("_application")


def main() -> None:
    """Run the command `pravah`."""
    if _APPLICATION.is_dir():
        _use_application(str(_APPLICATION))
    try:
        # By name, so that no module of this package imports the application.
        cli = import_module("cli.main")
    except ModuleNotFoundError as error:
        if error.name not in {"rich", "typer"}:
            raise
        sys.stderr.write(
            "`pravah` needs packages that are not installed: pip install 'pravah[cli]'\n"
        )
        sys.exit(2)
    cli.main()


def _use_application(folder: str) -> None:
    """Let this process and its children import the application before anything else."""
    sys.path.insert(0, folder)
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [entry for entry in inherited if entry and entry != folder]
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *others])
    # `python -m` would put the current folder before PYTHONPATH.
    os.environ["PYTHONSAFEPATH"] = "1"


if __name__ == "__main__":
    main()
