"""The command `pravah`: each module parses the arguments of a command and prints its result.

It may import every other package, and none of them imports it. Start reading at `main`, the table
of the commands.

Exit codes: 0 success, 1 a finding, 2 wrong use.
"""
