"""A model of a run, on the hub: exported, checked, with its card. The token is the hub's own client's affair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plad.errors import PladError
from plad.shipping.card import headline, model_card
from plad.shipping.export import Exported, Form, export
from plad.shipping.source import RunModel


def prepare(model: RunModel, form: Form, folder: Path, repo_id: str, licence: str | None, prompts: int = 8) -> Exported:
    """Everything that goes to the hub, in `folder`.

    Raises:
        PladError: as `export`.
    """
    if form == "gguf":
        if folder.exists():
            raise PladError(f"{folder} is there already. Choose another name, or remove it.")
        folder.mkdir(parents=True)
        found = export(model, form, folder / f"{model.name}.gguf", prompts)
    else:
        found = export(model, form, folder, prompts)
    (folder / "README.md").write_text(model_card(model, form, repo_id, licence), encoding="utf-8")
    return found


def push(model: RunModel, folder: Path, repo_id: str, public: bool) -> str:
    """Make the repository where there is none, private unless `public`, and upload the folder as one commit.

    Returns:
        The commit's address.

    Raises:
        PladError: nobody is logged in, or the hub refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repo_id, private=not public, exist_ok=True)
        done: Any = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=headline(model))
    except Exception as error:  # of the client, of what it sends with, of the network
        if str(error).startswith("Invalid metadata"):
            raise PladError(
                f"the hub does not take the card: {' '.join(str(error).split())}. Mend --license."
            ) from None
        status = getattr(getattr(error, "response", None), "status_code", None)
        answered = f"answered {status}" if status else f"was not reached ({type(error).__name__})"
        raise PladError(
            f"the hub {answered} when {repo_id} was pushed. See that the token may write there, and run the same "
            "command again: what is uploaded is not uploaded twice."
        ) from None
    return str(done.commit_url)


def check_login(repo_id: str) -> None:
    """Refuse before any work what the hub would refuse after it.

    Raises:
        PladError: the name is none that the hub takes, or nobody is logged in.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        raise PladError(f"a repository is named OWNER/NAME or NAME, but this is {repo_id!r}.") from None
    if get_token() is None:
        raise PladError("pushing needs a token that may write. Run `hf auth login`, or set HF_TOKEN.")
