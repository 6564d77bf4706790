"""A confined process opens what it was given, and nothing else."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from pravah.settings import ClickHouseUser
from stack import clickhouse_server, confinement, mount_namespace
from stack.clickhouse_accounts import UNCONFINED, render_users

pytestmark = pytest.mark.skipif(
    confinement.landlock_version() < confinement.MIN_VERSION,
    reason="this kernel has no Landlock",
)

WRITER = ClickHouseUser(user="pravah_writer", password=SecretStr("secret"))

_BEGIN = """
import os, socket, sys
from pathlib import Path
from stack.confinement import confine, take_own_identity
own, secret, port, other = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        return True
    return False
"""
_CONFINE = """
confine(writable=[own], readable=[own.parent / "readable"], ports=[port])
"""


def run(code: str, own: Path, *, port: int = 1, other: int = 2) -> str:
    (own.parent / "secret").write_text("secret", encoding="utf-8")
    (own.parent / "readable").write_text("readable", encoding="utf-8")
    own.mkdir(exist_ok=True)
    done = subprocess.run(
        [
            *(sys.executable, "-c", _BEGIN + code),
            *(str(own), str(own.parent / "secret"), str(port), str(other)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_reads_and_writes_its_folder_alone(tmp_path: Path) -> None:
    code = (
        """
assert Path(secret).read_text() == "secret"
(own / "link").symlink_to(secret)
os.link(secret, own.parent / "hard")
(own / "a").mkdir(); (own / "b").mkdir()
"""
        + _CONFINE
        + """
assert refused(open, secret), "another file"
assert refused(open, own / "link"), "a link to it"
assert refused(open, f"/proc/self/root{secret}"), "a way round"
assert refused(os.listdir, own.parent), "the folder above"
assert refused(open, own.parent / "new", "w"), "a new file elsewhere"
assert refused(open, own.parent / "readable", "w"), "a file that it may only read"
assert refused(os.rename, secret, own / "moved"), "moved into its folder"
assert refused(os.link, secret, own / "linked"), "linked into its folder"
assert refused(os.execv, "/bin/true", ["true"]), "a program"
assert (own.parent / "readable").read_text() == "readable"
(own / "a" / "file").write_text("mine")
os.rename(own / "a" / "file", own / "b" / "file")
os.truncate(own / "b" / "file", 1)
print((own / "b" / "file").read_text())
"""
    )
    assert run(code, tmp_path / "own") == "m"


@pytest.mark.skipif(confinement.landlock_version() < 4, reason="Linux 6.7 confines ports")
def test_it_listens_on_its_ports_and_connects_nowhere(tmp_path: Path) -> None:
    with socket.socket() as listening, socket.socket() as free:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        free.bind(("127.0.0.1", 0))
        port, other = free.getsockname()[1], listening.getsockname()[1]
        free.close()
        code = (
            _CONFINE
            + """
served = socket.socket()
served.bind(("127.0.0.1", port))
assert refused(socket.socket().bind, ("127.0.0.1", port + 1)), "another port"
assert refused(socket.create_connection, ("127.0.0.1", other), 1), "a connection"
print("served")
"""
        )
        assert run(code, tmp_path / "own", port=port, other=other) == "served"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_a_user_of_its_own_that_passes_folders_and_no_more(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    code = (
        """
(own / "mine").write_text("mine")
take_own_identity(own)
"""
        + _CONFINE
        + """
assert refused(open, secret)
assert refused(os.setuid, 0)
(own / "mine").write_text("again")
print(os.getuid(), os.geteuid(), os.getgroups(), (own / "mine").stat().st_uid)
"""
    )
    user = confinement.OWN_USER
    assert run(code, tmp_path / "own") == f"{user} {user} [] {user}"


@pytest.mark.skipif(not mount_namespace.is_available(), reason="no namespaces for this user")
def test_without_landlock_a_mount_namespace_leaves_its_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    code = """
from stack.mount_namespace import isolate
(own / "link").symlink_to(secret)
(own / "a").mkdir(); (own / "b").mkdir()
isolate(own.parent / "root", writable=[own, Path("/dev/null")], readable=[own.parent / "readable"])
assert refused(open, secret), "another file"
assert refused(open, own / "link"), "a link to it"
assert refused(open, f"/proc/self/root{secret}"), "a way round"
assert refused(open, f"/proc/{os.getppid()}/environ"), "another process"
assert refused(open, own.parent / "readable", "w"), "a file that it may only read"
assert refused(os.execv, "/bin/true", ["true"]), "a program"
assert (own.parent / "readable").read_text() == "readable"
assert os.listdir(own.parent) == ["own", "readable"], os.listdir(own.parent)
(own / "a" / "file").write_text("mine")
os.rename(own / "a" / "file", own / "b" / "file")
print((own / "b" / "file").read_text())
"""
    assert run(code, tmp_path / "own") == "mine"
    assert not list((tmp_path / "root").iterdir()), "nobody else sees the new root"


def test_a_kernel_without_either_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clickhouse_server.find_weakness() == ""
    for version in (0, 1):
        monkeypatch.setattr(clickhouse_server, "landlock_version", lambda version=version: version)
        monkeypatch.setattr(mount_namespace, "is_available", lambda: True)
        assert clickhouse_server.find_weakness() == ""
        monkeypatch.setattr(mount_namespace, "is_available", lambda: False)
        assert "no Landlock of version 2" in clickhouse_server.find_weakness()
        monkeypatch.setattr(confinement, "landlock_version", lambda version=version: version)
        with pytest.raises(OSError, match="Landlock 2 is needed"):
            confinement.confine(writable=(), readable=(), ports=())


def test_a_server_that_is_not_to_be_confined_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GRANT TABLE ENGINE ON *<" not in render_users({"writer": WRITER}, {})
    monkeypatch.setenv(UNCONFINED, "1")
    assert clickhouse_server.find_weakness().startswith("PRAVAH_CLICKHOUSE_UNCONFINED is set")
    assert "GRANT TABLE ENGINE ON *<" in render_users({"writer": WRITER}, {})
