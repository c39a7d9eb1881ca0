"""The audit of dependencies: fails on findings, and tells where it could not be done."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "audit.py"


def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_findings_are_told_with_what_mends_them() -> None:
    """The form is that of pip-audit's documentation."""
    weak = {"id": "PYSEC-2023-62", "fix_versions": ["2.2.5", "2.3.2"], "aliases": ["CVE-2023-30861"]}
    open_still = {"id": "GHSA-x", "fix_versions": []}
    packages = [
        {"name": "flask", "version": "0.5", "vulns": [weak]},
        {"name": "safe", "version": "1.0", "vulns": []},
        {"name": "other", "version": "3", "vulns": [open_still]},
        {"name": "local", "skip_reason": "not on the index"},
    ]
    assert audit().findings(json.dumps({"dependencies": packages, "fixes": []})) == [
        "flask 0.5: PYSEC-2023-62, mended in 2.2.5, 2.3.2",
        "other 3: GHSA-x, mended in no version yet",
    ]
    assert audit().findings('{"dependencies": []}') == []


@pytest.mark.parametrize("told", ["", "ERROR: no connection", "[]", '{"other": 1}', "null"])
def test_no_answer_is_no_clean_answer(told: str) -> None:
    assert audit().findings(told) is None


@pytest.mark.slow
def test_without_a_network_it_says_that_nothing_was_audited() -> None:
    pytest.importorskip("pip_audit")
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
    env = os.environ | nowhere | {"NO_PROXY": "", "no_proxy": ""}
    done = subprocess.run([sys.executable, str(SCRIPT)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("audit: NOT DONE, the database of weaknesses could not be asked: ")
