"""A suggested mapping as the text of a mapping file, with the evidence of each guess as comment."""

import json
from collections.abc import Iterator

from producers.tables.suggestion import Guess, Suggestion

_COMMENT_COLUMN = 44


def write_toml(suggestion: Suggestion) -> str:
    """Return the text of a mapping file."""
    lines = [
        "# Guessed from the table's header and first rows. Read it and try it with --dry-run.",
        "# A value that begins with TODO: must be written, or the file is refused.",
        "# docs/import.md explains every part.",
        "",
    ]
    sections: dict[str, list[Guess]] = {}
    for guess in suggestion.guesses:
        section, _, _ = guess.place.rpartition(".")
        if guess.place.endswith(".values"):
            section = guess.place.removesuffix(".values")
        sections.setdefault("skip" if guess.place == "skip" else section, []).append(guess)
    order = ["", "unit", "occurred_at", "entity", "constants"]
    for section in [*order, *(name for name in sections if name not in order and name != "skip")]:
        guesses = sections.get(section, [])
        if not guesses:
            continue
        if section:
            lines.append(f"[{section}]")
        for guess in sorted(guesses, key=lambda one: isinstance(one.value, dict)):
            lines += _write_guess(guess)
        lines.append("")
    for guess in sections.get("skip", []):
        assert isinstance(guess.value, dict)
        lines.append("[[skip]]")
        lines += _write_line("column", guess.value["column"], guess.evidence)
        lines += _write_line("is", guess.value["is"], "")
        lines.append("")
    if suggestion.unused:
        lines.append("# Columns that are not used:")
        lines += [f"#   {_to_comment(name)}: {why}" for name, why in suggestion.unused]
    return "\n".join(lines).rstrip() + "\n"


def _write_guess(guess: Guess) -> list[str]:
    key = guess.place.rpartition(".")[2]
    if isinstance(guess.value, dict):
        # one line for each, so that a person can delete one
        section = guess.place.removesuffix(".values")
        return [
            "",
            f"[{section}.values]  # {_to_comment(guess.evidence)}",
            *(f"{_quote(name)} = {_quote(value)}" for name, value in guess.value.items()),
        ]
    return list(_write_line(key, guess.value, guess.evidence))


def _write_line(key: str, value: object, evidence: str) -> Iterator[str]:
    line = f"{key} = {_quote(value)}"
    if not evidence:
        yield line
    elif len(line) < _COMMENT_COLUMN:
        yield f"{line.ljust(_COMMENT_COLUMN)}# {_to_comment(evidence)}"
    else:
        yield f"# {_to_comment(evidence)}:"
        yield line


def _quote(value: object) -> str:
    """Return a value as TOML. Its texts and lists are those of JSON, except for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _to_comment(text: str) -> str:
    """Return a text in one line, without characters that a comment must not have."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
