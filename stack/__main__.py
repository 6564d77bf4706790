"""Entry point of the stack's processes.

`python -m stack install | supervise | run-bound | serve-clickhouse`
"""

import os
import sys
from pathlib import Path

from pravah.child_environment import child_environment
from stack.errors import StackError
from stack.parent import bind_to_parent


def main(task: str, *arguments: str) -> int:
    """Run a task, and import only what it needs: `run-bound` must start at once.

    Args:
        task: its name.
        arguments: of the task: `supervise HOME [PARENT]`, `run-bound PARENT COMMAND …`,
            `serve-clickhouse LIBRARY CONFIG`.

    Returns:
        The exit code.
    """
    try:
        match task, arguments:
            case "install", ():
                from stack.install import ensure_installed

                ensure_installed(print)
            case "supervise", (home, *parent):
                from stack.supervisor import Supervisor

                return Supervisor(Path(home), int(parent[0]) if parent else None).run()
            case "run-bound", (parent, *command):
                bind_to_parent(int(parent))
                os.execve(command[0], command, child_environment())  # noqa: S606
            case "serve-clickhouse", (library, config):
                from stack.clickhouse_server import serve

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
