"""Compare what is installed with the database of known weaknesses (pip-audit).

Exits with 1 where there are findings. Where the database could not be asked, it says so and exits with 0: a machine
without a network can still run the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys

COMMAND = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--format", "json"]


def main() -> int:
    done = subprocess.run([*COMMAND, "--progress-spinner", "off"], capture_output=True, text=True, check=False)
    found = findings(done.stdout)
    if found is None:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"audit: NOT DONE, the database of weaknesses could not be asked: {reason[:300]}")
        return 0
    for line in found:
        print(f"audit: {line}")
    print(f"audit: {len(found)} known weaknesses")
    return 1 if found else 0


def findings(told: str) -> list[str] | None:
    """A line for each weakness in pip-audit's JSON; None where that is none."""
    try:
        packages = json.loads(told)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    return [
        f"{package['name']} {package['version']}: {weakness['id']}, mended in {', '.join(fixes) or 'no version yet'}"
        for package in packages
        for weakness in package.get("vulns", ())
        for fixes in [weakness.get("fix_versions", [])]
    ]


if __name__ == "__main__":
    sys.exit(main())
