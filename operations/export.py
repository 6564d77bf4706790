"""Write the published format descriptions and the tables of metrics.

`make docs` runs `python -m operations.export FOLDER`.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from producers.gateway import telemetry as gateway
from schemas.export import FILES, render
from streams import telemetry as worker

METRICS = "metrics.md"
# Program → all of its metrics, in the order of its table.
CATALOGUES: dict[str, Iterable[worker.Metric | gateway.Metric]] = {
    "worker": worker.CATALOGUE,
    "gateway": gateway.CATALOGUE,
}


def _row(metric: worker.Metric | gateway.Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |"


def with_catalogues(page: str) -> str:
    """Replace the tables in a Markdown page by those of the catalogues.

    A table is between two marks: `<!-- metrics of the worker … -->` and `<!-- end -->`.

    Raises:
        ValueError: the page lacks a mark.
    """
    for program, catalogue in CATALOGUES.items():
        mark = f"<!-- metrics of the {program}: written by `make docs` -->\n"
        before, start, rest = page.partition(mark)
        _, end, after = rest.partition("<!-- end -->\n")
        if not start or not end:
            msg = f"the page lacks the lines {mark.strip()!r} and '<!-- end -->', in this order"
            raise ValueError(msg)
        rows = map(_row, catalogue)
        table = "\n".join(
            ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |", *rows]
        )
        page = f"{before}{start}\n{table}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for file in FILES:
        (folder / file).write_text(render(file), encoding="utf-8")
    (folder / METRICS).write_text(
        with_catalogues((folder / METRICS).read_text(encoding="utf-8")), encoding="utf-8"
    )
