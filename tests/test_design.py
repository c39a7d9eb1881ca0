"""What the design promises of the code itself: who imports whom, and how little `plad --help` needs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "plad"

LEVELS: list[set[str]] = [
    {"errors", "progress", "database", "changes", "repetition", "interrupt"},  # import nothing of ours
    {"spec", "records", "speed", "presets", "tracking", "urls"},
    {"template"},
    {"runs", "report"},
    {"data", "models", "losses", "status"},
    {"generation"},  # renders prompts and reads answers by models.prompts
    {"scoring"},  # a judge asks through a generator
    {"training", "evaluation", "methods"},
    {"rewarding", "difference", "watching", "launching", "remote"},
    {"config"},
    {"answers"},  # a model of a run, asked
    {"stages"},
    {"comparing", "shipping", "planning"},
    {"pipeline", "estimate"},
    {"studies"},
    {"commands"},
    {"cli", "worker"},  # a worker is what a launcher starts
    {"__main__", "__init__"},  # the package itself names what users import
]
"""A part may import those on the levels above it, never its neighbours or what is below."""

ONLY: dict[str, set[str]] = {
    "losses": {"errors", "spec"},  # never a model loader
    "scoring": {"database", "errors", "interrupt", "spec", "records", "models", "generation"},
    "models": {"errors", "spec", "records"},
    "data": {"errors", "spec", "records", "urls"},
    "report": {"errors", "records"},
    "status": {"errors", "runs"},  # by files alone: instant, whatever the run is doing
    "watching": {"errors", "report", "status"},
    "evaluation": {"errors", "records", "repetition", "scoring"},
    "training": {"errors", "interrupt", "repetition", "spec", "records", "losses", "models", "tracking"},
    "methods": {"errors", "spec", "losses"},  # says what is learnt from, and finds nothing itself
    "generation": {
        "database",
        "errors",
        "interrupt",
        "spec",
        "records",
        "models",
        "data",
    },  # of data: tables of recorded answers
    "launching": {"errors", "interrupt", "progress", "training"},
    "planning": {
        "config",
        "errors",
        "methods",
        "runs",
        "stages",
        "urls",
    },  # says what there is to do, and does none of it
    "pipeline": {
        "changes",
        "errors",
        "config",
        "interrupt",
        "launching",
        "planning",
        "progress",
        "remote",
        "runs",
        "stages",
        "tracking",
        "training",  # of it: how many processes train
    },
    "tracking": {"errors"},
    "remote": {"errors", "generation", "runs", "training", "urls"},  # of training: what a whole checkpoint has
    "urls": {"errors"},
}
"""Parts that may import no more than this, though more stands above them."""

HEAVY = {"torch", "transformers", "pydantic", "peft", "accelerate", "datasets", "numpy", "matplotlib"}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            assert node.module is not None
            if node.module == "plad":
                yield from (f"plad.{alias.name}" for alias in node.names)
            else:
                yield node.module


def edges() -> Iterator[tuple[Path, str, str]]:
    """(file, its part, a part that it imports)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in imports(path):
            if name.startswith("plad.") and name.split(".")[1] != part_of(path):
                yield path, part_of(path), name.split(".")[1]


def test_every_part_has_a_level() -> None:
    parts = {part_of(path) for path in PACKAGE.rglob("*.py")}
    known = set().union(*LEVELS)
    assert parts <= known
    assert sum(len(level) for level in LEVELS) == len(known)


def test_imports_point_upwards() -> None:
    level = {part: k for k, parts in enumerate(LEVELS) for part in parts}
    found = list(edges())
    assert len(found) > 50
    assert [
        f"{path.relative_to(ROOT)} imports {other}" for path, part, other in found if level[other] >= level[part]
    ] == []


def test_parts_import_no_more_than_they_may() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {other}"
        for path, part, other in edges()
        if part in ONLY and other not in ONLY[part]
    ]
    assert wrong == []


def test_evaluation_takes_only_text_metrics_from_scoring() -> None:
    taken = {name for path in (PACKAGE / "evaluation").glob("*.py") for name in imports(path) if "scoring" in name}
    assert taken <= {"plad.scoring.length", "plad.scoring.rouge"}


def test_records_need_the_standard_library_alone() -> None:
    names = {name.split(".")[0] for file in ("records.py", "errors.py") for name in imports(PACKAGE / file)}
    assert names <= set(sys.stdlib_module_names) | {"plad", "__future__"}


def test_the_table_of_variants_is_in_the_folders_init_and_nowhere_else() -> None:
    tables = {"LOSSES", "METHODS", "MODELS", "SOURCES", "SCORERS", "GENERATORS"}
    for path in PACKAGE.rglob("*.py"):
        defined = {
            target.id
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
            if all(isinstance(value, ast.Name) for value in node.value.values)  # classes by name, not words
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert path.name == "__init__.py" or not defined & tables, path


def modules_after(code: str) -> set[str]:
    """Top-level names in sys.modules of a fresh process that ran `code`."""
    told = f"{code}\nimport sys\nprint('\\n' + ' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_exits_with_0_and_loads_nothing_heavy() -> None:
    code = "\n".join(
        [
            "import sys",
            "sys.argv = ['plad', '--help']",
            "from plad.cli import main",
            "try:",
            "    main()",
            "except SystemExit as end:",
            "    assert end.code == 0",
        ]
    )
    loaded = modules_after(code)
    assert "click" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("module", ["plad.records", "plad.runs", "plad.report", "plad.report.html"])
def test_reading_a_run_needs_no_torch(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert "plad" in loaded
    assert not loaded & {"torch", "transformers", "peft"}


def test_the_report_never_names_torch() -> None:
    names = {name.split(".")[0] for path in (PACKAGE / "report").glob("*.py") for name in imports(path)}
    assert not names & {"torch", "transformers", "peft", "datasets"}


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
