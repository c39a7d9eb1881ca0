"""Pushing, with the hub's own client, to a stand-in for the hub on loopback that keeps what it is sent."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from servers import free_port
from tiny_run import no_trace

from plad.cli import main
from plad.errors import PladError
from plad.shipping.push import push as upload
from plad.shipping.source import find_model

TOKEN = "hf_" + "s" * 34


class Hub(BaseHTTPRequestHandler):
    """Makes repositories, takes every file within the commit, and lets one token in."""

    asked: list[tuple[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self._reply({"error": "Invalid credentials"}, 401)
        lines = [json.loads(line) for line in body.splitlines() if line]
        self.asked.append((self.path, lines))
        if self.path == "/api/repos/create":
            return self._reply({"url": f"http://{self.headers['host']}/me/tiny"})
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in lines[0]["files"]
            ]
            return self._reply({"files": files})
        address = f"http://{self.headers['host']}/me/tiny/commit/{'1' * 40}"
        return self._reply({"commitUrl": address, "commitOid": "1" * 40, "success": True})

    def do_GET(self) -> None:
        self._reply({"siblings": [], "id": "me/tiny", "sha": "0" * 40})

    def _reply(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """What the hub was asked: path, and the JSON objects of the body."""
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield Hub.asked
    server.shutdown()


def push(run: Path, *more: str) -> Any:
    return CliRunner().invoke(main, ["push", str(run), "me/tiny", "--prompts", "2", *more])


def test_a_private_repository_gets_model_and_card_in_one_commit(
    sharp_run: Path, tmp_path: Path, hub: list[tuple[str, Any]]
) -> None:
    found = push(sharp_run, "--to", "adapter", "--license", "mit")
    assert found.exit_code == 0, found.output
    assert "2 of 2 greedy answers equal" in found.stdout
    assert found.stdout.endswith(f"/me/tiny/commit/{'1' * 40}\n")
    (made,) = [lines[0] for path, lines in hub if path == "/api/repos/create"]
    assert made["name"] == "tiny"
    assert made.get("visibility") == "private" or made.get("private") is True
    (commit,) = [lines for path, lines in hub if "/commit/" in path]
    header, *files = (line["value"] for line in commit)
    assert header["summary"].startswith("plad: wins ")
    sent = {file["path"]: base64.b64decode(file["content"]) for file in files}
    assert {"README.md", "adapter_model.safetensors", "base/model.safetensors", "tokenizer.json"} <= sent.keys()
    assert b"license: mit" in sent["README.md"]
    assert b"from_pretrained('me/tiny', subfolder='base')" in sent["README.md"]
    assert not any(TOKEN.encode() in content for content in sent.values())
    assert TOKEN not in found.output


def test_public_is_said_aloud_and_a_refusal_is_told_without_the_token(
    sharp_run: Path, hub: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = TOKEN[:-1] + "x"
    monkeypatch.setenv("HF_TOKEN", wrong)
    found = push(sharp_run, "--public", "--model", "student")
    assert found.exit_code == 2
    assert "the hub answered 401 when me/tiny was pushed" in found.output
    assert wrong not in found.output


def test_a_dry_run_writes_the_folder_and_asks_nobody(
    sharp_run: Path, tmp_path: Path, hub: list[tuple[str, Any]]
) -> None:
    found = push(sharp_run, "--dry-run", str(tmp_path / "out"))
    assert found.exit_code == 0, found.output
    assert (tmp_path / "out/README.md").read_text().startswith("---\n")
    assert (tmp_path / "out/model.safetensors").is_file()
    assert hub == []
    no_trace(tmp_path, TOKEN)


def test_nobody_logged_in_is_told_before_any_work(
    sharp_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    found = push(sharp_run)
    assert found.exit_code == 2
    assert "Run `hf auth login`, or set HF_TOKEN." in found.output
    named = CliRunner().invoke(main, ["push", str(sharp_run), "a/b/c"])
    assert "a repository is named OWNER/NAME or NAME, but this is 'a/b/c'." in named.output


def test_a_hub_that_is_not_there_is_told_of(sharp_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(PladError, match=r"the hub was not reached \(\w+\) when me/tiny was pushed"):
        upload(find_model(sharp_run), tmp_path, "me/tiny", public=False)
