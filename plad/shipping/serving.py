"""What a server is given: the export that a run has of a model, made anew when the model has changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from plad.models.load import weights_digest
from plad.runs import write_text
from plad.shipping.export import Form, export
from plad.shipping.source import find_model


def exported_for(path: Path, name: str | None, engine: str) -> tuple[Path, str]:
    """What an engine serves, and what clients may call it.

    Args:
        path: a run folder, whose model is exported to `exports/` in it; or an export, which is served as it is.

    Raises:
        PladError: as `find_model` and `export`.
    """
    if not (path / "recipe.yaml").is_file() and (path.is_file() or (path / "tokenizer.json").is_file()):
        return path, path.stem
    model = find_model(path, name)
    form: Form = "gguf" if engine == "llama.cpp" else "merged"
    target = model.run.path("exports", f"{model.name}.gguf" if form == "gguf" else model.name)
    mark, digest = target.with_name(f"{target.name}.sha256"), weights_digest(model.folder)
    if not (target.exists() and mark.is_file() and mark.read_text(encoding="utf-8") == digest):
        mark.unlink(missing_ok=True)
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        export(model, form, target)
        write_text(mark, digest)
    return target, f"{model.recipe.name}-{model.name}"
