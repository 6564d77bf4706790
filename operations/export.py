"""`python -m operations.export FOLDER`: write the published descriptions of the format, and the tables of metrics (`make docs`)."""

import sys
from collections.abc import Iterable
from pathlib import Path

from producers.gateway import telemetry as gateway
from schemas.export import FILES, rendered
from streams import telemetry as worker

METRICS = "metrics.md"
CATALOGUES: dict[str, Iterable[worker.Metric | gateway.Metric]] = {
    "worker": worker.CATALOGUE,
    "gateway": gateway.CATALOGUE,
}
"""Whose metrics → every one of them, in the order of its table."""


def with_catalogues(page: str) -> str:
    """A page of Markdown, each table between its two marks (`<!-- metrics of the worker … -->`, `<!-- end -->`) written anew from its catalogue.

    Raises:
        ValueError: the page lacks a mark.
    """
    for whose, catalogue in CATALOGUES.items():
        mark = f"<!-- metrics of the {whose}: written by `make docs` -->\n"
        before, begins, rest = page.partition(mark)
        _, ends, after = rest.partition("<!-- end -->\n")
        if not begins or not ends:
            msg = f"the page needs the lines {mark.strip()!r} and '<!-- end -->', in this order"
            raise ValueError(msg)
        rows = [
            f"| `{one.name}` | {one.type} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
            for one in catalogue
        ]
        table = "\n".join(
            ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |", *rows]
        )
        page = f"{before}{begins}\n{table}\n\n{ends}{after}"
    return page


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for file in FILES:
        (folder / file).write_text(rendered(file), encoding="utf-8")
    (folder / METRICS).write_text(
        with_catalogues((folder / METRICS).read_text(encoding="utf-8")), encoding="utf-8"
    )
