from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import plad

README = Path(__file__).parents[1] / "README.md"
HEAVY = ("torch", "transformers", "pydantic", "numpy", "datasets")


def blocks(text: str) -> list[str]:
    """The Python blocks of a Markdown text."""
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def python(code: str, folder: Path | None = None) -> str:
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=250)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_name_is_what_its_module_calls_it() -> None:
    for name in plad.__all__:
        value = getattr(plad, name)
        assert name == "__version__" or value.__name__ == name
    assert plad.__version__ == version("plad")
    assert set(plad.__all__) <= set(dir(plad))


def test_the_names_that_a_checker_sees_are_those_that_are_there() -> None:
    source = Path(plad.__file__).read_text()
    seen = source[source.index("if TYPE_CHECKING:") : source.index("_MODULES")]
    imported = dict(re.findall(r"from (\S+) import (.+)", seen))
    named = {name: module for module, names in imported.items() for name in names.split(", ")}
    assert named == plad._MODULES
    assert {*named, "__version__"} == set(plad.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'plad' has no attribute 'PladTrainr'"):
        _ = plad.PladTrainr


def test_importing_loads_nothing_heavy() -> None:
    loaded = f"import sys, plad; print([name for name in {HEAVY} if name in sys.modules])"
    assert python(loaded) == "[]\n"


def test_stars_and_submodules_work() -> None:
    code = "from plad import *; import plad.losses; print(RankingCalibration is plad.losses.RankingCalibration)"
    assert python(code) == "True\n"


@pytest.mark.parametrize("number", range(len(blocks(README.read_text(encoding="utf-8")))))
def test_the_python_of_the_readme_runs(number: int, tmp_path: Path) -> None:
    python(blocks(README.read_text(encoding="utf-8"))[number], tmp_path)
