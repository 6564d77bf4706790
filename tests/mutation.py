"""Mutation run over the pure core: which changes of the code no test notices.

    make mutation [ARGUMENTS="--sample 200 --module rollup/fold.py"]

Each mutant is one change of one place (cosmic-ray's operators, those in `OPERATORS`), made in a
copy of the repository. A mutant that no test fails on survives. Survivors that are right to survive
are listed with their reason in `tests/mutation_survivors.toml`; exit 1 if any other survives.

It runs with the Python of an environment of its own that has cosmic-ray; tests run with `--python`,
in forks of `tests.mutation_server`.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from cosmic_ray.ast import get_ast_from_path
from cosmic_ray.mutating import apply_mutation
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parents[1]
REASONS = Path(__file__).with_name("mutation_survivors.toml")
PACKAGE = "rollup"
# Its kernels are not compiled, see `tests.mutation_server`.
KERNELS = "rollup/contribution.py"
# Runs every kernel once at start; a mutant there changes no result.
LEFT_OUT = {"rollup/__init__.py", "rollup/warm_up.py"}
OPERATORS = [
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Add")),
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in ("FloorDiv_Mul", "Mod_Mul", "Div_Mul")),
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in ("BitAnd_BitOr", "BitOr_BitAnd")),
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in ("LShift_RShift", "RShift_LShift")),
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot")),
    *(
        f"core/ReplaceComparisonOperator_{pair}"
        for pair in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt")
    ),
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in ("Lt_GtE", "LtE_Gt", "IsNot_Is")),
    *(f"core/ReplaceUnaryOperator_{pair}" for pair in ("USub_UAdd", "Delete_Not", "Delete_Invert")),
    "core/AddNot",
    "core/NumberReplacer",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceBreakWithContinue",
    "core/ReplaceContinueWithBreak",
    "core/ZeroIterationForLoop",
]
IGNORED_KEYWORDS = {"strict", "include_url", "include_context", "include_input"}
# The tests of each module alone, which run first: they are fast, and a run ends at a failure.
OWN_TESTS = {
    "assigned_partition": ["tests/unit/test_core_partition.py"],
    "batch_validation": ["tests/unit/test_core_validation.py"],
    "chunk_attempt": ["tests/unit/test_core_partition.py", "tests/unit/test_core_flush.py"],
    "chunks": ["tests/unit/test_core_records.py"],
    "contribution": [
        "tests/property/test_contribution.py",
        "tests/property/test_explanation.py",
    ],
    "engine": ["tests/unit/test_core_partition.py"],
    "entity_cache": ["tests/unit/test_core_partition.py"],
    "explanation": ["tests/property/test_explanation.py"],
    "flush": ["tests/unit/test_core_flush.py"],
    "fold": ["tests/unit/test_core_fold.py"],
    "hierarchy": ["tests/unit/test_core_hierarchy.py"],
    "open_chunk": ["tests/unit/test_core_partition.py", "tests/unit/test_core_flush.py"],
    "rebuild": ["tests/property/test_rebuild.py"],
    "record_batch": ["tests/unit/test_core_records.py"],
    "reprocessing": ["tests/unit/test_reprocessing.py"],
    "seen_filter": ["tests/unit/test_core_seen_filter.py"],
    "validation": ["tests/unit/test_core_validation.py"],
    "version_columns": ["tests/unit/test_core_columns.py"],
}
# No other module uses these, so no other test judges them.
ALONE = {"explanation", "rebuild", "reprocessing"}
SHARED_TESTS = [
    "tests/unit/test_core_partition.py",
    "tests/unit/test_core_flush.py",
    "tests/unit/test_core_fold.py",
    "tests/property/test_contribution.py",
    "tests/property/test_rebuild.py",
    "tests/property/test_rollup.py",
    "tests/property/test_chunks.py",
    "tests/property/test_batch_validation.py",
    "tests/property/test_record_batch.py",
]


@dataclass(frozen=True)
class Mutant:
    """One change of one place."""

    module: str
    operator: str
    occurrence: int
    line: int
    source: str
    """The line as it is, without indentation."""


@dataclass(frozen=True)
class Result:
    """What became of a mutant."""

    mutant: Mutant
    outcome: str
    """`killed`, `timeout` (an endless loop counts as noticed), `survived`."""
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=str(ROOT / ".venv/bin/python"), help="runs the tests")
    parser.add_argument("--module", action="append", help="such as rollup/fold.py; default: all")
    parser.add_argument("--sample", type=int, help="so many mutants at random instead of all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one mutant")
    parser.add_argument("--out", type=Path, help="write all results as JSON lines")
    options = parser.parse_args()
    modules = options.module or sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / PACKAGE).rglob("*.py")
    )
    mutants = [one for name in modules if name not in LEFT_OUT for one in mutants_of(name)]
    if options.sample and options.sample < len(mutants):
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    print(f"{len(mutants)} mutants in {len(modules)} modules", file=sys.stderr, flush=True)
    results = run(mutants, options)
    return report(results)


def mutants_of(module: str) -> Iterator[Mutant]:
    """All mutants of a module, except in annotations, decorators and docstrings."""
    path = ROOT / module
    lines = path.read_text(encoding="utf-8").splitlines()
    ignored = ignored_places(ast.parse(path.read_text(encoding="utf-8")))
    tree = get_ast_from_path(path)
    for name in OPERATORS:
        operator = get_operator(name)()
        occurrence = 0
        for node in walk(tree):
            for (line, column), _ in operator.mutation_positions(node):
                if not any(begin <= (line, column) < end for begin, end in ignored):
                    yield Mutant(module, name, occurrence, line, lines[line - 1].strip())
                occurrence += 1


def walk(node: object) -> Iterator[object]:
    yield node
    for child in getattr(node, "children", ()):
        yield from walk(child)


def ignored_places(tree: ast.AST) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where a change has no meaning for a test: (line, column) from and to.

    These are annotations, decorators, assertions and `zip(strict=True)`, which is one, options of
    pydantic's list of errors that leave out what is not read, and the star before arguments by
    name.
    """
    found = []
    for node in ast.walk(tree):
        places: list[ast.AST | None] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            places += [node.returns, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            places += node.decorator_list
        elif isinstance(node, ast.arg | ast.AnnAssign):
            places.append(node.annotation)
        elif isinstance(node, ast.Assert) or (
            isinstance(node, ast.keyword) and node.arg in IGNORED_KEYWORDS
        ):
            places.append(node)
        elif isinstance(node, ast.arguments) and node.kwonlyargs and not node.vararg:
            first, positional = node.kwonlyargs[0], [*node.args, *node.defaults]
            begin = max(
                ((one.end_lineno, one.end_col_offset) for one in positional),
                default=(first.lineno, 0),
            )
            found.append((begin, (first.lineno, first.col_offset)))
        found += [
            ((place.lineno, place.col_offset), (place.end_lineno, place.end_col_offset))
            for place in places
            if place is not None
        ]
    return found


def run(mutants: list[Mutant], options: argparse.Namespace) -> list[Result]:
    """Run the tests on each mutant, in copies of the repository."""
    queue: SimpleQueue[Mutant] = SimpleQueue()
    for one in mutants:
        queue.put(one)
    results: list[Result] = []
    lock = threading.Lock()
    out = options.out.open("a", encoding="utf-8") if options.out else None

    def work(server: Server) -> None:
        while True:
            try:
                mutant = queue.get_nowait()
            except Empty:
                return
            result = test_mutant(server, mutant, options.timeout)
            with lock:
                results.append(result)
                if out:
                    out.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")
                    out.flush()
                if result.outcome == "survived":
                    print(f"survived: {text_of(mutant)}", file=sys.stderr, flush=True)
                if len(results) % 50 == 0:
                    print(f"{len(results)} of {len(mutants)}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="pravah-mutation-") as folder:
        copies = [copy_repository(Path(folder) / str(n)) for n in range(options.processes)]
        first = Server(copies[0], options.python)
        every = sorted({*SHARED_TESTS, *(one for tests in OWN_TESTS.values() for one in tests)})
        for module in [PACKAGE, *sorted({one.module for one in mutants} & {KERNELS})]:
            if first.outcome(module, every, timeout=900) != "passed":
                sys.exit(f"tests of {module} fail without a mutant")
        for copy in copies[1:]:
            shutil.copytree(copies[0], copy, dirs_exist_ok=True)  # with the compiled kernels
        servers = [first, *(Server(copy, options.python) for copy in copies[1:])]
        threads = [threading.Thread(target=work, args=(server,)) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for server in servers:
            server.close()
    if out:
        out.close()
    return results


def copy_repository(to: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    compiled = (ROOT / name for name in ("columnar", PACKAGE))
    for kernel in (one for folder in compiled for one in folder.rglob("*.nb?")):
        target = to / kernel.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(kernel, target)
    return to


class Server:
    """A process that runs the tests in a copy of the repository (`tests.mutation_server`)."""

    def __init__(self, copy: Path, python: str) -> None:
        self.copy = copy
        self._process = subprocess.Popen(
            [python, "-m", "tests.mutation_server"],
            cwd=copy,
            env={
                **os.environ,
                "PYTHONPATH": str(copy),
                "PRAVAH_HYPOTHESIS_PROFILE": "mutation",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def outcome(self, module: str, tests: list[str], timeout: int) -> str:
        """Return `passed`, `failed` or `timeout` of tests of a module."""
        assert self._process.stdin
        assert self._process.stdout
        request = {"module": module, "tests": tests, "timeout": timeout}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip() or sys.exit("the server of a copy ended")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def outcome_of(server: Server, module: str, timeout: int) -> str:
    """Run a module's own tests, and those that it shares with others if these pass."""
    name = Path(module).stem
    own = OWN_TESTS.get(name)
    outcome = server.outcome(module, own, timeout // 4) if own else "passed"
    if outcome == "passed" and name not in ALONE:
        outcome = server.outcome(module, SHARED_TESTS, timeout)
    return outcome


def test_mutant(server: Server, mutant: Mutant, timeout: int) -> Result:
    path = server.copy / mutant.module
    original, times = path.read_bytes(), path.stat()
    began = time.monotonic()
    try:
        apply_mutation(path, get_operator(mutant.operator)(), mutant.occurrence)
        outcome = outcome_of(server, mutant.module, timeout)
    finally:
        path.write_bytes(original)
        # Else numba would compile the module's kernels again.
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    found = {"passed": "survived", "failed": "killed"}.get(outcome, outcome)
    return Result(mutant, found, round(time.monotonic() - began, 1))


def text_of(mutant: Mutant) -> str:
    return f"{mutant.module}:{mutant.line} {mutant.operator.removeprefix('core/')}  {mutant.source}"


def report(results: list[Result]) -> int:
    """Print the table, and the survivors that have no reason."""
    reasons = tomllib.loads(REASONS.read_text(encoding="utf-8")) if REASONS.is_file() else {}
    explained = {
        (module, one["operator"], one["source"])
        for module, entries in reasons.items()
        for one in entries
    }
    table: dict[str, Counter[str]] = {}
    unexplained = []
    for result in results:
        mutant = result.mutant
        counts = table.setdefault(mutant.module, Counter())
        counts["mutants"] += 1
        outcome = result.outcome
        if outcome == "survived":
            operator = mutant.operator.removeprefix("core/")
            if (mutant.module, operator, mutant.source) in explained:
                outcome = "survived with a reason"
            else:
                unexplained.append(mutant)
        counts[outcome] += 1
    columns = ("mutants", "killed", "timeout", "survived with a reason", "survived")
    print(f"| module | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for module, counts in [*sorted(table.items()), ("all", sum(table.values(), Counter()))]:
        print(f"| {module} | {' | '.join(str(counts[name]) for name in columns)} |")
    for mutant in unexplained:
        print(f"survived: {text_of(mutant)}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
