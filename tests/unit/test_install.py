"""What the installation says when programs are missing."""

import platform
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.install import ensure_installed

PROGRAMS = {"java", "mvn", "npm"}


@pytest.fixture(autouse=True)
def empty_tools_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAVAH_TOOLS", str(tmp_path / "tools"))


def set_programs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, names: set[str], version: str = "17.0.1"
) -> None:
    """Have a PATH with these programs alone."""
    (folder / "bin").mkdir()
    for name in names:
        program = folder / "bin" / name
        program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"))


@pytest.mark.parametrize(
    ("system", "missing", "message"),
    [
        ({"ID": "debian"}, ["java"], "java is missing: apt-get install default-jre-headless"),
        (
            {"ID": "debian"},
            ["java", "mvn", "npm"],
            "java and mvn and npm are missing: apt-get install default-jre-headless maven npm",
        ),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, ["npm"], "npm is missing: apt-get install npm"),
        ({"ID": "fedora"}, ["mvn"], "mvn is missing: dnf install maven"),
        (
            {"ID": "void"},
            ["java", "mvn"],
            "java and mvn are missing: install a Java runtime 17 or newer, Maven",
        ),
    ],
)
def test_all_missing_programs_are_named_with_the_packages_of_this_system(
    system: dict[str, str],
    missing: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_programs(tmp_path, monkeypatch, PROGRAMS - set(missing))
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: system)
    with pytest.raises(StackError) as error:
        ensure_installed()
    assert str(error.value) == message


def test_an_older_java_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_programs(tmp_path, monkeypatch, PROGRAMS, version="11.0.2")
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "debian"})
    with pytest.raises(StackError, match=r"17 or newer.* is 11: apt-get install default"):
        ensure_installed()


def test_an_installation_that_is_complete_needs_java_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PRAVAH_TOOLS")
    set_programs(tmp_path, monkeypatch, {"java"})
    assert ensure_installed().libchdb.is_file()
