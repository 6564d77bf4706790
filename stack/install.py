"""Bring Kafka and ClickHouse to this machine, once: their versions stand in `stack/kafka/pom.xml` and `stack/clickhouse/package-lock.json`.

`python -m stack install` prints what it does. A second run finds everything and needs no network.
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

from stack.errors import StackError

HERE = Path(__file__).parent
_PACKAGES = {"java": "openjdk-17-jre-headless", "mvn": "maven", "npm": "npm"}
_OLDEST_JAVA = 17


@dataclass(frozen=True)
class Tools:
    """Where the installed parts are."""

    java: Path
    kafka_jars: Path
    libchdb: Path


def tools_folder() -> Path:
    """The folder of what is installed: `PRAVAH_TOOLS`, or `.tools` beside the packages."""
    return Path(
        os.environ.get("PRAVAH_TOOLS") or HERE.parent / ".tools"
    ).absolute()  # ClickHouse and Maven look from folders of their own


def installed(say: Callable[[str], None] = lambda _: None) -> Tools:
    """The tools, installed now if they are not there yet.

    Raises:
        StackError: a program is missing, with the Debian package that has it; the platform has no ClickHouse package; a download failed.
    """
    java = _program("java")
    _check_java(java)
    return Tools(
        java,
        _kafka(say) / "libs",
        _clickhouse(say) / "node_modules" / "@chdb" / "lib-linux-x64-gnu" / "libchdb.so",
    )


def _kafka(say: Callable[[str], None]) -> Path:
    pom = HERE / "kafka" / "pom.xml"

    def fetch(folder: Path) -> None:
        arguments = [
            "-f",
            str(pom),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={folder / 'libs'}",
        ]
        _run([str(_program("mvn")), "-B", "-q", *arguments], "Kafka", folder)

    return _once("kafka", [pom], fetch, say)


def _clickhouse(say: Callable[[str], None]) -> Path:
    machine, libc = platform.machine(), platform.libc_ver()[0]
    if sys.platform != "linux" or machine not in {"x86_64", "AMD64"} or libc != "glibc":
        msg = (
            f"there is no ClickHouse package for {sys.platform} on {machine} ({libc or 'no glibc'}): run ClickHouse elsewhere, for example with docker compose, "
            "and name it by PRAVAH_CLICKHOUSE__HOST, …__NATIVE_PORT, …__HTTP_PORT and …__USERS"
        )
        raise StackError(msg)
    files = [HERE / "clickhouse" / name for name in ("package.json", "package-lock.json", ".npmrc")]

    def fetch(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        _run(
            [str(_program("npm")), "ci", "--no-audit", "--no-fund", "--loglevel=error"],
            "ClickHouse",
            folder,
        )

    return _once("clickhouse", files, fetch, say)


def _once(
    name: str, sources: list[Path], fetch: Callable[[Path], None], say: Callable[[str], None]
) -> Path:
    """A folder named by the content of `sources`, filled by `fetch` the first time; half of one is never left behind."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = tools_folder() / f"{name}-{digest}"
    if not folder.exists():
        say(f"installing {name} into {folder.parent} …")
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


def _run(command: list[str], what: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        msg = f"installing {what} failed ({Path(command[0]).name} exited with {done.returncode}); is the package registry reachable?\n{last}"
        raise StackError(msg)


def _program(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        msg = f"{name} is missing; on Debian: apt-get install {_PACKAGES[name]}"
        raise StackError(msg)
    return Path(found)


def _check_java(java: Path) -> None:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        msg = f"Kafka needs Java {_OLDEST_JAVA} or newer, {java} is {version[1] if version else 'unknown'}; on Debian: apt-get install {_PACKAGES['java']}"
        raise StackError(msg)
