"""`python -m cli.export FOLDER`: write the published descriptions of the format, and the table of metrics (`make docs`)."""

import sys
from pathlib import Path

from producers.gateway import telemetry as gateway
from schemas.export import FILES, rendered
from streams.telemetry import with_catalogue

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for file in FILES:
        (folder / file).write_text(rendered(file), encoding="utf-8")
    metrics = folder / "metrics.md"
    metrics.write_text(gateway.with_catalogue(with_catalogue(metrics.read_text(encoding="utf-8"))), encoding="utf-8")
