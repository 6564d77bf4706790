"""The documents agree with the code: links, paths, names, commands, tasks, and the packages drawn.

A document is README.md, CONTRIBUTING.md, the README of the benchmarks, or a page below docs/.
"""

import ast
import pkgutil
import re
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from click import Command, Group

from cli.lazy import load
from cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PACKAGES = sorted(
    path.name
    for path in ROOT.iterdir()
    if (path / "__init__.py").exists() and path.name not in {"tests", "benchmarks"}
)

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A part of a path that stands for others, such as mNNNN_what.py, NAME.toml, m<number>_<name>.py.
PLACEHOLDER = re.compile(r"[<>*…{}$]|NAME|NNNN")
# A folder that only an installed Pravah has.
INSTALLED_ONLY = "pravah/_application"
# Dotted names that are no modules: a record's key.
NO_MODULES = {"pravah.tick"}

in_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", text_of(page))


def spans_of(page: Path) -> list[str]:
    return [" ".join(span.split()) for span in SPAN.findall(prose_of(page))]


def code_of(page: Path) -> list[str]:
    """Inline code, and the lines of shell blocks."""
    blocks = [body for _, language, body in FENCE.findall(text_of(page)) if language == "sh"]
    return [*spans_of(page), *(line for block in blocks for line in block.splitlines())]


# --- the packages -----------------------------------------------------------------------------


@cache
def imports() -> frozenset[tuple[str, str]]:
    """(package, another that one of its modules imports)."""
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [str(node.module)]
                found |= {(package, name.partition(".")[0]) for name in names}
    return frozenset((one, other) for one, other in found if other in PACKAGES and one != other)


def drawn() -> set[tuple[str, str]]:
    """The arrows between packages in docs/architecture.md."""
    section = text_of(ARCHITECTURE).partition("\n## Packages\n")[2]
    (diagram,) = [body for _, kind, body in FENCE.findall(section) if kind == "mermaid"]
    return set(re.findall(r"^ *(\w+) --> (\w+)$", diagram, re.MULTILINE))


def closure(arrows: AbstractSet[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows, and all that follow from them."""
    reached = set(arrows)
    while more := {(a, d) for a, b in reached for c, d in arrows if b == c} - reached:
        reached |= more
    return reached


def test_every_import_between_packages_is_an_arrow_or_follows_from_arrows() -> None:
    assert imports() - closure(drawn()) == set()


def test_every_arrow_is_an_import_and_follows_from_no_others() -> None:
    arrows = drawn()
    assert arrows - imports() == set()
    assert {arrow for arrow in arrows if arrow in closure(arrows - {arrow})} == set()


def test_no_packages_import_each_other_in_a_circle() -> None:
    assert [one for one, other in closure(imports()) if one == other] == []


def test_every_package_is_drawn_and_described() -> None:
    assert {name for arrow in drawn() for name in arrow} == set(PACKAGES)
    described = re.findall(r"^\| (`.+?) \|", text_of(ARCHITECTURE), re.MULTILINE)
    names = {span.rstrip("/") for row in described for span in SPAN.findall(row)}
    assert set(PACKAGES) - names == set()


# --- lines, links, paths and names ------------------------------------------------------------


@in_each_page
def test_lines_of_prose_end_at_column_100(page: Path) -> None:
    lines = prose_of(page).splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith(("|", "#"))] == []


@cache
def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in plain}


@in_each_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose_of(page)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@in_each_page
def test_every_picture_exists_and_is_small(page: Path) -> None:
    for tag in re.findall(r"<img [^>]*>", prose_of(page)):
        found = re.search(r'src="([^"]+)"', tag)
        assert found, tag
        assert 'alt="' in tag, "a picture says in words what it shows"
        assert (page.parent / found[1]).stat().st_size < 500_000, found[1]


def definite(path: str) -> str:
    """The part of a path before its first placeholder."""
    parts = path.split("/")
    end = next((i for i, part in enumerate(parts) if PLACEHOLDER.search(part)), len(parts))
    return "/".join(parts[:end])


@in_each_page
def test_every_path_that_is_named_exists(page: Path) -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    named = {
        span
        for span in spans_of(page)
        if re.fullmatch(r"[^\s/]+/[^\s]*", span)
        and span.partition("/")[0] in folders
        and not span.startswith((".", INSTALLED_ONLY))
    }
    assert sorted(path for path in named if not (ROOT / definite(path)).exists()) == []


@in_each_page
def test_every_module_and_attribute_that_is_named_exists(page: Path) -> None:
    named = {
        span.partition("(")[0]
        for span in spans_of(page)
        if re.fullmatch(r"\w+(\.\w+)+(\([^)]*\))?", span)
        and span.partition(".")[0] in {*PACKAGES, "tests", "benchmarks"}
        and not span.endswith((".md", ".py", ".toml", ".txt", ".yml", ".json"))
    } - NO_MODULES
    unknown = []
    for name in sorted(named):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            unknown.append(name)
    assert unknown == []


# --- commands and tasks -----------------------------------------------------------------------


@cache
def command(name: str) -> Command:
    return load(name, COMMANDS[name])


def unknown_command(words: list[str]) -> bool:
    """Whether `pravah WORDS` names a command or subcommand that does not exist."""
    if words[0] not in COMMANDS:
        return True
    group, rest = command(words[0]), words[1:]
    while isinstance(group, Group) and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        names = rest[0].split("|")
        if any(name not in group.commands for name in names):
            return True
        group, rest = group.commands[names[0]], rest[1:]
    return False


@in_each_page
def test_every_command_that_is_named_exists(page: Path) -> None:
    unknown = []
    for code in code_of(page):
        for called in re.findall(r"(?<![\w/.@-])(?:\.venv/bin/)?pravah ([a-z][^`#;&|]*)", code):
            words = called.split()
            if unknown_command(words):
                unknown.append(f"pravah {called}")
    assert unknown == []


@in_each_page
def test_every_task_that_is_named_exists(page: Path) -> None:
    tasks = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = {task for code in code_of(page) for task in re.findall(r"\bmake ([a-z-]+)", code)}
    assert named - tasks == set()


def test_the_python_examples_of_readme_import() -> None:
    blocks = FENCE.findall(text_of(ROOT / "README.md"))
    examples = [ast.parse(body) for _, language, body in blocks if language == "python"]
    assert examples
    for example in examples:
        nodes = [node for node in ast.walk(example) if isinstance(node, ast.ImportFrom)]
        assert nodes
        for node in nodes:
            for alias in node.names:
                pkgutil.resolve_name(f"{node.module}:{alias.name}")
