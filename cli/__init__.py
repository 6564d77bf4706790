"""The command `pravah`: it puts the parts together, one module a command.

| module | commands |
| --- | --- |
| `main` | the application; errors become one line and an exit code |
| `stack` | `up`, `down`, `status` |
| `prepare` | topics, schema, registry and metric dictionary, for `up`, `demo` and the tests |
| `worker` | `worker` |
| `units`, `units_apply` | `units check`, `units load`, `units show`, `units apply` |
| `emit`, `import_file`, `simulate` | `emit`, `import`, `simulate` |
| `reconcile`, `explain`, `doctor` | `reconcile`, `explain`, `doctor` |
| `gateway` | `gateway`, with `status`, `rejected`, `replay`, `check`, `pull`, `reconcile` |
| `report` | `report` |
| `replay` | `replay rejected`, `replay log`, `replay ledger`, `replay lost` |
| `demo` | `demo` |

Exit 0 for success, 1 for a finding, 2 for wrong use.
"""
