"""Import of tables: rows of CSV and XLSX files become events, by a mapping file.

`reader` opens a table (`workbooks` and `csv_files` read it, `headers` finds its columns), `mapping`
is the model of the mapping file, `importer` converts rows, `rejects` writes those that were not
sent. `suggestion` guesses a mapping. The package imports `pravah`, `schemas` and
`producers.mapping`. Start with `importer`; the example `producers/examples/members.toml` explains
every part of a mapping file.
"""

from producers.mapping.conversions import MappingError
from producers.tables.errors import TableError
from producers.tables.importer import ImportedRow, Importer
from producers.tables.mapping import ImportMapping
from producers.tables.reader import Table, open_mapped_table, open_table

__all__ = [
    "ImportMapping",
    "ImportedRow",
    "Importer",
    "MappingError",
    "Table",
    "TableError",
    "open_mapped_table",
    "open_table",
]
