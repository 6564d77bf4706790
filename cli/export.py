"""`python -m cli.export FOLDER`: write the published descriptions of the format (`make docs`)."""

import sys
from pathlib import Path

from schemas.export import FILES, rendered

if __name__ == "__main__":
    for file in FILES:
        Path(sys.argv[1], file).write_text(rendered(file), encoding="utf-8")
