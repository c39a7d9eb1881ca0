"""What nobody gets in by: code in weights or data, names that are paths, secrets in files, open ports, calls home."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from test_bad_input import plad
from tiny_run import RECIPE, Recorder, no_trace, rows, write_recipe

from plad.cli import main
from plad.config import load_recipe
from plad.errors import PladError
from plad.generation import OpenAI
from plad.pipeline import run

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "plad").rglob("*.py"))
SECRET = "sk-never-to-be-seen-0123456789"


def calls() -> Iterator[tuple[str, str, dict[str, ast.expr]]]:
    """(file and line, the dotted name that is called, its keyword arguments) of the whole package."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
                yield f"{file.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), named


def is_true(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def test_nothing_is_unpickled_evaluated_or_given_to_a_shell() -> None:
    banned = {"eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads", "shelve.open"}
    banned |= {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "joblib.load", "dill.load"}
    found = [(place, name, named) for place, name, named in calls()]
    assert len(found) > 1000
    assert [(place, name) for place, name, _ in found if name in banned] == []
    assert [place for place, _, named in found if is_true(named.get("shell"))] == []
    loads = [(place, named) for place, name, named in found if name == "torch.load"]
    assert loads, "else this test should go"
    assert [place for place, named in loads if not is_true(named.get("weights_only"))] == []


def test_models_are_loaded_of_safetensors_alone_and_no_code_of_theirs_is_trusted() -> None:
    loads = [(place, name, named) for place, name, named in calls() if name.endswith(".from_pretrained")]
    models = [one for one in loads if "Tokenizer" not in one[1] and "Config" not in one[1]]
    # An adapter's own file is checked before it is read, and a GGUF file holds no pickle.
    known = {"PeftModel.from_pretrained"}
    unsafe = [place for place, name, named in models if not is_true(named.get("use_safetensors")) and name not in known]
    assert [place for place in unsafe if not place.startswith("plad/models/fetch.py")] == []
    assert [place for place, _, named in loads if is_true(named.get("trust_remote_code"))] == []


def test_code_of_a_model_is_off_unless_the_recipe_says_so() -> None:
    from plad.models import PretrainedModel

    assert PretrainedModel(path="x").trust_remote_code is False
    assert PretrainedModel(path="x", trust_remote_code=True).trust_remote_code is True


@pytest.mark.parametrize(
    "text",
    ["!!python/object/apply:os.system ['touch FILE']", "a: !!python/name:os.system", "!!python/object/new:dict [1]"],
)
def test_a_recipe_runs_no_code(text: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.replace("FILE", str(tmp_path / "made")))
    with pytest.raises(PladError, match="a recipe is YAML, but this is not"):
        load_recipe(recipe)
    with pytest.raises(PladError, match="the value is not YAML"):
        load_recipe(write_recipe(tmp_path / "in"), [f"name={text.replace('FILE', str(tmp_path / 'made'))}"])
    assert not (tmp_path / "made").exists()


PATHS = ["../x", "..", "/tmp/x", "a/b", "a\\b", ".hidden", "", "a\0b", "~", "x\n", "C:x", "-rf"]


@pytest.mark.parametrize("name", PATHS)
def test_names_in_a_recipe_are_no_paths(name: str, tmp_path: Path) -> None:
    for wrong in (
        RECIPE.replace("name: tiny", f"name: {quoted(name)}"),
        RECIPE + f"baselines: {{{quoted(name)}: {{type: seqkd}}}}\n",
    ):
        with pytest.raises(PladError, match=r"recipe\.yaml"):
            load_recipe(write_recipe(tmp_path, wrong, data=tmp_path / "x"))


def quoted(name: str) -> str:
    return yaml.safe_dump(name, default_style='"', width=1000).strip()


@given(st.text(max_size=12))
def test_a_name_that_is_let_pass_stays_in_its_folder(name: str) -> None:
    from pydantic import ValidationError

    from plad.config import Recipe

    data = yaml.safe_load(RECIPE.replace("DATA", "x")) | {"name": name}
    try:
        recipe = Recipe.model_validate(data | {"baselines": {name: {"type": "seqkd"}}})
    except ValidationError:
        return
    for part in (recipe.name, *recipe.methods):
        joined = Path(os.path.normpath(Path("/runs") / part))
        assert joined.parent == Path("/runs")
        assert joined.name == part


def test_ids_in_data_name_no_files(tmp_path: Path) -> None:
    """Whatever a row calls itself, only the files of the run are written."""
    lines = [json.dumps({**row, "id": f"../../{n}/x"}) for n, row in enumerate(rows())]
    (tmp_path / "data.jsonl").write_text("\n".join(lines) + "\n")
    recipe = load_recipe(write_recipe(tmp_path / "in", data=tmp_path / "data.jsonl"), ["task.source.columns={id: id}"])
    folder = tmp_path / "runs" / "deep" / "tiny"
    run(recipe, folder, Recorder(), only="prepare")
    made = {path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(folder)}
    assert made == {tmp_path / "data.jsonl", tmp_path / "in" / "recipe.yaml"}
    prompts = [json.loads(line)["id"] for line in (folder / "data" / "train.jsonl").read_text().splitlines()]
    assert all(name.startswith("../../") for name in prompts)


def commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield from commands(command) if isinstance(command, click.Group) else [command]


def test_what_listens_listens_on_this_machine_alone() -> None:
    hosts = [option for command in commands(main) for option in command.params if option.name in ("host", "bind")]
    assert [option.default for option in hosts if option.default not in ("127.0.0.1", "localhost")] == []
    everywhere = {"0.0.0.0", "::", "[::]"}
    constants = [
        (file, node.value)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    ]
    assert [str(file) for file, value in constants if isinstance(value, str) and value in everywhere] == []


def test_nobody_is_told_of_our_use() -> None:
    """Without the command line too: importing the package is enough."""
    env = {key: value for key, value in os.environ.items() if "TRACK" not in key and "USAGE" not in key}
    env.pop("HF_HUB_DISABLE_TELEMETRY", None)
    told = "import plad, os; print([os.environ[n] for n in NAMES])".replace(
        "NAMES", "('DO_NOT_TRACK', 'HF_HUB_DISABLE_TELEMETRY', 'RAY_USAGE_STATS_ENABLED', 'VLLM_NO_USAGE_STATS')"
    )
    done = subprocess.run([sys.executable, "-c", told], env=env, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "['1', '1', '0', '1']"
    refused = "import os; os.environ['DO_NOT_TRACK'] = '0'; import plad; print(os.environ['DO_NOT_TRACK'])"
    done = subprocess.run(
        [sys.executable, "-c", refused], env=env, capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "0", "what the user has set stays"


OFFLINE = """
import sys
from pathlib import Path
import plad.pipeline

def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        print("CALLED", event, arguments[1:], flush=True)

sys.addaudithook(hook)
from tiny_run import Recorder
from plad.config import load_recipe
plad.pipeline.run(load_recipe(Path(sys.argv[1])), Path(sys.argv[2]), Recorder())
print("DONE")
"""


@pytest.mark.slow
def test_a_run_on_local_data_and_models_connects_to_nothing(tiny_recipe: Path, tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    env["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    command = [sys.executable, "-c", OFFLINE, str(tiny_recipe), str(tmp_path / "run")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-2:] == ["DONE", ""]
    assert "CALLED" not in done.stdout


@pytest.mark.parametrize("name", ["api_key", "apiKey", "API-Key", "Authorization", "password", "client_secret"])
def test_a_secret_has_no_place_in_a_recipe(name: str, tmp_path: Path) -> None:
    teacher = {"type": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    hidden = [{"extra": {name: SECRET}}, {"extra": {"headers": [{name: SECRET}]}}, {name: SECRET}]
    for settings in hidden:
        with pytest.raises(ValueError, match=r"must hold no secret|Extra inputs"):
            OpenAI.model_validate({**teacher, **settings})
        assert SECRET not in shown(tmp_path, teacher | settings)


def shown(tmp_path: Path, teacher: dict[str, object]) -> str:
    """What the command line says of a recipe with that teacher, given as a setting."""
    recipe = write_recipe(tmp_path / "in")
    setting = f"teacher.model={yaml.safe_dump(teacher, default_flow_style=True, width=1000).strip()}"
    result = plad("run", recipe, "--out", tmp_path / "run", "--set", setting, "--set", "teacher.sft=null")
    assert result.exit_code == 2, result.output
    no_trace(tmp_path / "run", SECRET)
    return result.output


def test_what_may_follow_a_request_passes() -> None:
    OpenAI(model="m", extra={"top_k": 5, "prompt_cache_key": "plad", "stop": ["\n"], "max_tokens": 3})
