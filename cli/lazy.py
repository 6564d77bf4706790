"""A group of commands that imports a command's module when the command runs.

`pravah --help` therefore imports none of the servers' packages, and an installation without the
packages of one part runs all others.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from cli.language import add_language_option

MISSING_PACKAGES_EXIT_CODE = 2


class CommandSpec(NamedTuple):
    """Where a command is, and what it needs."""

    target: str
    """`module:attribute` of a function or a `typer.Typer`."""
    extra: str
    """The extra of the distribution `pravah` with the packages that the command imports."""
    summary: str
    """One line for `pravah --help`."""


class LazyGroup(TyperGroup):
    """Commands by their specifications; `pravah --help` shows placeholders with the summaries."""

    specs: dict[str, CommandSpec]

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, spec in self.specs.items():
            self.add_command(TyperCommand(name, help=spec.summary), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the placeholder of the command that is to run by the command itself."""
        name, _, rest = super().resolve_command(ctx, args)
        ctx.invoked_subcommand = name
        return name, load(str(name), self.specs[str(name)]), rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command. A missing package, at the start or as it runs, is one line and exit 2."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if find_spec((error.name or __name__).partition(".")[0]) is not None:
                raise  # a defect: the package is installed, and lacks the module
            name = ctx.invoked_subcommand
            typer.echo(
                f"`pravah {name}` needs packages that are not installed: "
                f"pip install 'pravah[{self.specs[name].extra}]'",
                err=True,
            )
            raise typer.Exit(MISSING_PACKAGES_EXIT_CODE) from error


def load(name: str, spec: CommandSpec) -> Any:
    """Import a command and build it under its name.

    Raises:
        ModuleNotFoundError: a package that it imports is not installed.
    """
    module, _, attribute = spec.target.partition(":")
    command = getattr(import_module(module), attribute)
    parent = typer.Typer()
    if isinstance(command, typer.Typer):
        parent.add_typer(command, name=name)
    else:
        parent.command(name)(command)
    loaded = get_group(parent).commands[name]
    add_language_option(loaded)
    _plain_help(loaded)
    _check_values(loaded)
    return loaded


def _plain_help(command: Any) -> None:
    """Show help and errors as plain text: it starts at once, and can be copied and searched.

    The lines of a paragraph are joined: the terminal wraps them at its width.
    """
    command.rich_markup_mode = None
    if command.help:
        paragraphs = command.help.split("\n\n")
        command.help = "\n\n".join(" ".join(lines.split()) for lines in paragraphs)
        command.short_help = command.help.partition("\n\n")[0]  # else it would be cut
    for subcommand in getattr(command, "commands", {}).values():
        _plain_help(subcommand)


def _check_values(command: Any) -> None:
    """Refuse wrong values in words, and an option for one value that is given twice.

    Of two values the first one would not count.
    """
    parse = command.parse_args

    def parse_args(ctx: Any, args: list[str]) -> Any:
        _, _, given = command.make_parser(ctx).parse_args(args=list(args))
        for option in {one for one in given if given.count(one) > 1}:
            if option.param_type_name == "option" and not (option.multiple or option.is_flag):
                msg = "may be given once only"
                raise typer.BadParameter(msg, ctx=ctx, param_hint=f"'{option.opts[0]}'")
        try:
            return parse(ctx, args)
        except typer.BadParameter as error:
            error.message = _in_words(error)
            raise

    command.parse_args = parse_args
    for subcommand in getattr(command, "commands", {}).values():
        _check_values(subcommand)


def _in_words(error: typer.BadParameter) -> str:
    """The error's message, in words where it is that of the validation library."""
    cause = error.__cause__
    if cause is None or not error.message.startswith("Input should"):
        return str(error.message)
    from schemas.value_errors import describe_error

    return describe_error(cause.errors()[0])  # type: ignore[attr-defined]
