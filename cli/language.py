"""The language of what a command prints: `--lang`, before or after the command, or PRAVAH_LANG."""

from contextvars import ContextVar
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

import typer
from typer.main import get_command

from pravah.languages import Lang, Language, languages_of

_chosen: ContextVar[Lang | None] = ContextVar("_chosen", default=None)


class Words(NamedTuple):
    """A word or a sentence in both languages."""

    hi: str
    en: str

    def of(self, language: Language) -> str:
        """The words in one language."""
        return self.hi if language == "hi" else self.en

    def lines(self) -> list[str]:
        """The words in the language of this command; with `both`, a line for each."""
        return [self.of(language) for language in languages_of(current_language())]


LEVEL_WORDS: dict[str, Words] = {
    "national": Words("राष्ट्र", "national"),
    "state": Words("प्रदेश", "state"),
    "division": Words("संभाग", "division"),
    "district": Words("ज़िला", "district"),
    "assembly": Words("विधानसभा", "assembly"),
    "booth": Words("बूथ", "booth"),
}
NEVER = Words("कभी नहीं", "never")


def select_language(value: Lang | None) -> None:
    """Select the language of what follows; None: that of the settings."""
    _chosen.set(value)


def _select_if_given(value: Lang | None) -> Lang | None:
    if value is not None:
        select_language(value)
    return value


InLanguage = Annotated[
    Lang | None,
    typer.Option(
        "--lang",
        callback=_select_if_given,
        help="Hindi, English, or both, each on a line of its own; default: PRAVAH_LANG, else both.",
    ),
]


def current_language() -> Lang:
    """Return the language of `--lang`, else that of the settings."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    from pravah.settings import Settings

    return Settings().lang


def say(hindi: str, english: str, *, color: str | None = None, err: bool = False) -> None:
    """Print a sentence in the language of this command; with `both`, a line for each."""
    for line in Words(hindi, english).lines():
        typer.echo(typer.style(line, fg=color) if color else line, err=err)


def beside(hindi: str, english: str) -> str:
    """A term in the language of this command; with `both`, English and Hindi on one line."""
    return " / ".join(reversed(Words(hindi, english).lines()))


def first_of(shown: int, total: int) -> Words | Literal[""]:
    """The note below a table that does not show all rows; empty if it does."""
    if shown >= total:
        return ""
    return Words(f"{total:,} में से पहले {shown:,}", f"the first {shown:,} of {total:,}")


def add_language_option(command: Any) -> None:
    """Let a command, and all below it, take `--lang` after its name, too.

    The option is listed in the help of commands that print tables or write dashboards;
    `pravah --help` has it for all.
    """
    for subcommand in getattr(command, "commands", {}).values():
        add_language_option(subcommand)
    names = {one.name for one in command.params}
    if "lang" not in names:
        command.params.append(_language_option(is_hidden=not names & {"plain", "audience"}))


@cache
def _language_option(*, is_hidden: bool) -> Any:
    parent = typer.Typer(add_completion=False)
    parent.command()(_take_language)
    option: Any = get_command(parent).params[0]
    option.expose_value = False  # the command asks `current_language`
    option.hidden = is_hidden
    return option


def _take_language(*, lang: InLanguage = None) -> None: ...
