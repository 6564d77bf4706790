"""`pravah rebuild`: figures from the log or the ledger; go on where the log has lost records."""

from functools import partial
from typing import Annotated

import typer

rebuild = typer.Typer(
    no_args_is_help=True,
    help="Rebuild the figures from the log or the ledger. Workers wait meanwhile.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@rebuild.command("log")
def from_log(
    *,
    discard: Annotated[
        bool, typer.Option("--discard", help="Empty ledger, journal, chunks and repairs first.")
    ] = False,
    what_is_left: Annotated[
        bool,
        typer.Option(
            "--from-what-is-left",
            help="Go on although the log has lost its beginning: no figure has those records then.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild ledger, journal and figures from the log, under the active registry.

    Stop all workers first; one that starts meanwhile waits. A worker of the command's own counts
    until everything that the log has is in the figures. Repairs are not needed afterwards and are
    removed: figures as they were known before a change of the registry are gone after a rebuild.

    If the command is interrupted, workers go on counting from where it stopped.
    """
    import orjson

    from cli.progress import progress, steps
    from operations.rebuild import rebuild_from_log
    from pravah.settings import Settings

    with steps("rebuilding from the log") as say:
        done = rebuild_from_log(
            Settings(),
            discard=discard,
            from_what_is_left=what_is_left,
            report=say,
            open_progress=partial(progress, "from the log"),
        )
    if as_json:
        outcome = {
            "records": done.records,
            "lost": done.lost,
            "accepted": done.accepted,
            "seconds": round(done.seconds, 1),
        }
        typer.echo(orjson.dumps(outcome).decode())
    else:
        typer.echo(
            f"{done.records - done.lost:,} records folded, {done.accepted:,} versions accepted"
        )
        _print_next()


@rebuild.command("ledger")
def from_ledger(*, as_json: AsJson = False) -> None:
    """Rebuild journal and figures from ledger and chunks, without the log.

    Stop all workers first; one that starts meanwhile waits. Accepted versions are folded again,
    chunk by chunk, under the active registry. The new journal replaces the old one when it is
    complete, so readers find the old figures until then. Repairs are not needed afterwards and are
    removed: figures as they were known before a change of the registry are gone after a rebuild.
    """
    import orjson

    from cli.progress import progress, steps
    from operations.rebuild import rebuild_from_ledger
    from pravah.settings import Settings

    with steps("rebuilding from the ledger") as say:
        done = rebuild_from_ledger(
            Settings(), report=say, open_progress=partial(progress, "from the ledger")
        )
    seconds = round(done.seconds, 1)
    if as_json:
        outcome = {"versions": done.versions, "entries": done.entries, "seconds": seconds}
        typer.echo(orjson.dumps(outcome).decode())
    else:
        typer.echo(
            f"{done.versions:,} versions folded, {done.entries:,} entries written in {seconds} s"
        )
        _print_next()


@rebuild.command()
def lost(
    *,
    reason: Annotated[
        str, typer.Option(help="What happened to the records, for those who ask later.")
    ],
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Record it in `chunks`. Without this the gaps are only shown."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show records that the log lost before they were counted for good; let workers go on.

    Stop all workers first. What an open chunk had made durable of such records is removed from the
    figures: send those events again from their sources.
    """
    import orjson

    from cli.progress import steps
    from operations.rebuild import find_gaps, skip_gaps
    from pravah.settings import Settings

    settings = Settings()
    with steps("looking for gaps") as say:
        gaps = (
            skip_gaps(settings, reason=reason, report=say)
            if yes
            else find_gaps(settings, report=say)
        )
    if as_json:
        rows = [{"partition": gap.partition, "first": gap.first, "behind": gap.end} for gap in gaps]
        typer.echo(orjson.dumps({"lost": rows, "said": yes}).decode())
        return
    for partition, first, end in gaps:
        typer.echo(
            f"partition {partition}: offsets {first:,} to {end - 1:,} are gone before they were "
            f"counted for good ({end - first:,} records)"
        )
    if not gaps:
        typer.echo("nothing is lost")
    elif yes:
        typer.echo("workers go on behind them")
    else:
        typer.echo("nothing was written; add --yes to let workers go on behind them")


def _print_next() -> None:
    from cli.progress import print_next

    print_next(
        ("pravah worker", "goes on counting; in a terminal of its own"),
        ("pravah reconcile", "proves the figures by an independent recount"),
    )
