"""What the stack's own processes run: `python -m stack install | supervise | become | serve-clickhouse`."""

import os
import sys
from pathlib import Path

from stack.clickhouse_server import serve
from stack.errors import StackError
from stack.install import installed
from stack.supervisor import Supervisor, die_with


def main(task: str, *arguments: str) -> int:
    """Run one of them.

    Returns:
        The exit code.
    """
    try:
        match task, arguments:
            case "install", ():
                installed(print)
            case "supervise", (home, *parent):
                return Supervisor(Path(home), int(parent[0]) if parent else None).run()
            case "become", (parent, *command):
                die_with(int(parent))
                os.execv(command[0], command)  # noqa: S606
            case "serve-clickhouse", (library, config):
                serve(library, config)
            case _:
                print(__doc__)
                return 2
    except StackError as error:
        print(f"error: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or [""]))
