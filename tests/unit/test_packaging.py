"""What `pravah --help` imports, and that each extra has the packages its commands import."""

import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pravah
from cli.lazy import load
from cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OURS = frozenset(PROJECT["tool"]["importlinter"]["root_packages"])
EXTRAS = PROJECT["project"]["optional-dependencies"]

# Imported by one method of the client, which says what to install; too large for any other extra.
OPTIONAL = {"polars"}

RUN = """
import sys
{before}
sys.argv = ["pravah", *{arguments!r}]
from pravah.__main__ import main
try:
    main()
finally:
    {after}
"""
EXPLAIN = ["explain", "--unit", "CG", "--metric", "booths", "--day", "2022-05-03"]
PRINT_MODULES = "print('MODULES', *{name.partition('.')[0] for name in sys.modules})"
# Typer, and what it imports.
HELP_IMPORTS = {"annotated_doc", "cli", "pravah", "shellingham", "typer"}
# Models whose values options have, and what these need.
GROUP_HELP_IMPORTS = HELP_IMPORTS | {
    "annotated_types",
    "grafana",
    "orjson",
    "producers",
    "pydantic",
    "pydantic_core",
    "reports",
    "rich",
    "schemas",
    "typing_extensions",
    "typing_inspection",
    "xmltodict",
}
GROUPS = [name for name, spec in COMMANDS.items() if hasattr(load(name, spec), "commands")]


def run(
    *arguments: str, before: str = "pass", after: str = "pass"
) -> subprocess.CompletedProcess[str]:
    code = RUN.format(before=before, arguments=list(arguments), after=after)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )


def third_parties(output: str) -> set[str]:
    modules = set(re.search(r"^MODULES (.*)$", output, re.MULTILINE)[1].split())  # type: ignore[index]
    # compiled modules in one file have a name of their own in site-packages, or begin with _
    return {name for name in modules - sys.stdlib_module_names if not name.startswith("_")}


def test_help_imports_no_driver_and_no_server() -> None:
    done = run("--help", after=PRINT_MODULES)
    assert done.returncode == 0, done.stderr
    assert third_parties(done.stdout) <= HELP_IMPORTS
    assert all(name in done.stdout for name in COMMANDS)


def test_a_group_shows_what_its_commands_do_in_full() -> None:
    shown = " ".join(run("gateway", "--help").stdout.split())
    for command in load("gateway", COMMANDS["gateway"]).commands.values():
        assert command.help.partition("\n\n")[0] in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_no_driver_and_no_server(name: str) -> None:
    done = run(name, "--help", after=PRINT_MODULES)
    assert done.returncode == 0, done.stderr
    assert third_parties(done.stdout) <= GROUP_HELP_IMPORTS


@pytest.mark.parametrize("name", GROUPS)
def test_help_in_a_group_imports_no_driver_and_no_server(name: str) -> None:
    first = next(iter(load(name, COMMANDS[name]).commands))
    done = run(name, first, "--help", after=PRINT_MODULES)
    assert done.returncode == 0, done.stderr
    assert third_parties(done.stdout) <= GROUP_HELP_IMPORTS


def test_a_reader_of_clickhouse_imports_no_compiler() -> None:
    modules = "sinks.connection, sinks.control_room, sinks.lookup, sinks.explanation"
    code = f"import {modules}, operations.unit_directory, sys; {PRINT_MODULES}"
    output = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    assert not {"numba", "numpy", "kafka", "faust"} & third_parties(output)


def test_a_unit_is_found_without_numpy_and_kafka() -> None:
    done = run("units", "find", "Raipur", after=PRINT_MODULES)
    assert "CG-D-RPR" in done.stdout
    assert not {"numba", "numpy", "kafka", "faust"} & third_parties(done.stdout)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("pravah pl", {"plan"}),
        ("pravah plan st", {"status"}),
        ("pravah plan status --l", {"--lang"}),
        ("pravah plan status --lang ", {"hi", "en", "both"}),
        ("pravah watch silent --level d", {"division", "district"}),
    ],
)
def test_a_shell_completes_commands_options_and_values(words: str, completed: set[str]) -> None:
    place = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    environment = {"_PRAVAH_COMPLETE": "complete_bash", **place}
    done = run(before=f"import os; os.environ.update({environment})", after=PRINT_MODULES)
    assert set(done.stdout.partition("MODULES")[0].split()) == completed
    assert third_parties(done.stdout) <= GROUP_HELP_IMPORTS


def test_importing_pravah_imports_nothing_else() -> None:
    code = f"import pravah, sys; {PRINT_MODULES}"
    output = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    assert third_parties(output) == {"pravah"}


def test_every_public_name_can_be_imported() -> None:
    assert {name: getattr(pravah, name).__module__ for name in pravah.__all__ if name != "Event"}
    assert set(pravah.__all__) <= set(dir(pravah))
    with pytest.raises(AttributeError, match="Nothing"):
        _ = pravah.Nothing


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded_under_its_name(name: str) -> None:
    assert load(name, COMMANDS[name]).name == name


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("fastapi", ["gateway", "--port", "1"], "gateway"),
        ("aiokafka", ["import", "pyproject.toml", "--mapping", "pyproject.toml"], "cli"),
        ("faust", ["worker"], "worker"),
        ("clickhouse_driver", EXPLAIN, "stack"),
        ("numba", ["worker"], "worker"),
    ],
)
def test_a_missing_part_is_one_line_that_names_its_extra(
    package: str, arguments: list[str], extra: str
) -> None:
    done = run(*arguments, before=f"sys.modules[{package!r}] = None")
    message = f"`pravah {arguments[0]}` needs packages that are not installed: "
    assert done.stderr == f"{message}pip install 'pravah[{extra}]'\n"
    assert done.returncode == 2


def test_without_the_command_s_own_packages_one_line_names_their_extra() -> None:
    done = run("--help", before="sys.modules['typer'] = None")
    assert done.stderr.endswith("pip install 'pravah[cli]'\n")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2


def test_a_module_of_ours_that_is_missing_is_a_defect_with_a_traceback() -> None:
    done = run(*EXPLAIN, before="import cli; sys.modules['sinks.explanation'] = None")
    assert "Traceback" in done.stderr
    assert "pip install" not in done.stderr


@cache
def provided(requirement: str) -> frozenset[str]:
    """The distributions that a requirement installs, by their normalised names."""
    wanted, found = [Requirement(requirement)], set()
    while wanted:
        one = wanted.pop()
        names = {(canonicalize_name(one.name), extra) for extra in ("", *one.extras)} - found
        found |= names
        for name, extra in names:
            lines = (
                [*PROJECT["project"]["dependencies"], *EXTRAS.get(extra, [])]
                if name == "pravah"
                else distribution(name).requires or []
            )
            following = map(Requirement, lines)
            wanted += [
                each
                for each in following
                if each.marker is None or each.marker.evaluate({"extra": extra})
            ]
    return frozenset(name for name, _ in found)


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*sorted(OURS), include_external_packages=True, cache_dir=None)


def imported(module: str) -> set[str]:
    """The third-party distributions that a module of ours imports, also by way of others."""
    modules = {module, *graph().find_descendants(module)}
    reached = set().union(*map(graph().find_upstream_modules, modules))
    externals = reached - sys.stdlib_module_names
    names = {name for name in externals if name.partition(".")[0] not in OURS}
    distributions = packages_distributions()
    return {canonicalize_name(distributions[name][0]) for name in names} - OPTIONAL


@pytest.mark.parametrize("name", COMMANDS)
def test_the_extra_of_a_command_has_all_that_it_imports(name: str) -> None:
    spec = COMMANDS[name]
    missing = imported(spec.target.partition(":")[0]) - provided(f"pravah[{spec.extra}]")
    assert not missing, f"pravah[{spec.extra}] lacks {missing}"


def test_the_base_has_all_that_the_public_package_imports_and_is_small() -> None:
    base = provided("pravah")
    assert imported("pravah") <= base
    assert len(base) <= 24, sorted(base)


def test_all_has_every_other_extra() -> None:
    parts = provided("pravah[all]")
    for extra in EXTRAS.keys() - {"all", "bench", "dev", "mutation", *OPTIONAL}:
        assert provided(f"pravah[{extra}]") <= parts, extra


def test_what_is_optional_has_an_extra_and_is_imported_in_one_function() -> None:
    for name in OPTIONAL:
        assert name in provided(f"pravah[{name}]")
        assert graph().find_modules_that_directly_import(name) == {"pravah.client_rows"}
    code = f"import pravah.client, sys; {PRINT_MODULES}"
    output = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)
    assert not OPTIONAL & third_parties(output)
