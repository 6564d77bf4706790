"""Known vulnerabilities of the locked requirements: `make check` runs `python -m tests.advisories`.

pip-audit asks OSV (https://osv.dev) for the advisories on each locked version. Without a network
there are none to be had: one line says so within seconds, and the check goes on.
"""

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ("requirements/runtime.txt", "requirements/dev.txt")
ADVISORIES = "https://api.osv.dev/"
# How long the network may take to answer, and pip-audit to ask about all requirements
PROBE_SECONDS, AUDIT_SECONDS = 3.0, 120.0


def main(address: str = ADVISORIES, audit: Sequence[str] | None = None) -> int:
    """Look, and print what was found in one line for each vulnerability.

    Args:
        address: of the service with the advisories.
        audit: the command of pip-audit, which writes JSON; None: that of this environment.

    Returns:
        1 if a requirement has a known vulnerability; 0 if none has, or nobody could look.
    """
    if not is_reachable(address):
        print(f"advisories: could not look for vulnerabilities, {address} does not answer")
        return 0
    try:
        done = subprocess.run(
            audit or _audit_command(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=AUDIT_SECONDS,
        )
        found = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        reason = type(error).__name__
        print(f"advisories: could not look for vulnerabilities, pip-audit failed ({reason})")
        return 0
    lines = list(describe(found))
    print("\n".join(lines) or f"advisories: none for {len(found)} locked requirements")
    return int(bool(lines))


def is_reachable(address: str, seconds: float = PROBE_SECONDS) -> bool:
    """Whether a server answers, whatever it says, within some seconds; by a proxy if one is set."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(address, timeout=seconds):  # noqa: S310
                answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)  # an answer
        except (OSError, ValueError):
            pass

    # a look-up of the name has no time limit of its own
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers)


def describe(dependencies: Sequence[dict]) -> Iterator[str]:
    """Yield a line for each vulnerability that pip-audit found."""
    for one in dependencies:
        for vulnerability in one.get("vulns", []):
            fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no version yet"
            yield (
                f"advisories: {one['name']} {one['version']} has {vulnerability['id']}, fixed in "
                f"{fixed}; run `make lock`"
            )


def _audit_command() -> list[str]:
    files = [argument for file in REQUIREMENTS for argument in ("--requirement", file)]
    return [
        *(sys.executable, "-m", "pip_audit", *files, "--disable-pip", "--require-hashes"),
        *("--vulnerability-service", "osv", "--format", "json", "--progress-spinner", "off"),
        *("--timeout", "5"),
    ]


if __name__ == "__main__":
    sys.exit(main())
