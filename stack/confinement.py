"""Confinement of a process by Landlock: it opens the named files and ports, and nothing else.

Landlock (Linux 5.13) needs no privileges and works in containers; a process cannot leave it, as
root neither. `landlock(7)` has the numbers below.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from stack.system_calls import check, libc

# landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2); prctl(2).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 4, 8, 38
# Numbers of capset(2).
_CAPABILITY_VERSION_3, _CAP_DAC_READ_SEARCH = 0x20080522, 2
# Of a server that root started; no distribution gives this number to anybody.
OWN_USER = 61_883

_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_READ = _READ_FILE | _READ_DIR
# Which version of Landlock knows how many rights on files; the first 13 are of the first one.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
_TRUNCATE = 1 << 14
# On one file, the other rights are refused.
_OF_A_FILE = _READ_FILE | _WRITE_FILE | _TRUNCATE
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_NETWORK_VERSION, _SCOPE_VERSION = 4, 6
# No abstract sockets and no signals of processes outside.
_SCOPES = 1 << 0 | 1 << 1
# The first version forbids to move a file to another folder, which ClickHouse does.
MIN_VERSION = 2


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def landlock_version() -> int:
    """The kernel's version of Landlock, 0 if it has none or does not offer it."""
    return max(0, int(libc().syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)))


def take_own_identity(*folders: Path) -> None:
    """As root, become a user of one's own who owns the folders; otherwise do nothing.

    It keeps the right to pass through folders and to read, since a home folder is its owner's
    alone. So `confine` must follow, or `mount_namespace.isolate` must have come before. A root that
    may not become another user, as in some containers, stays what it is.

    Args:
        folders: with all that is in them.
    """
    if os.geteuid() != 0 or not _may_change_identity(folders[0]):
        return
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid != OWN_USER:
                os.chown(path, OWN_USER, OWN_USER, follow_symlinks=False)
    library = libc()
    check(library.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    _change_identity()
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    passing = 1 << _CAP_DAC_READ_SEARCH
    # Effective, permitted and inheritable, of the first 32 capabilities and of the others.
    capabilities = (ctypes.c_uint32 * 6)(passing, passing, 0, 0, 0, 0)
    check(library.capset(header, capabilities))
    check(library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def _may_change_identity(folder: Path) -> bool:
    """Whether root may become `OWN_USER` and give it a folder; a child tries it."""
    child = os.fork()
    if child == 0:
        try:
            os.chown(folder, OWN_USER, OWN_USER)
            _change_identity()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _change_identity() -> None:
    os.setgroups([])
    os.setresgid(OWN_USER, OWN_USER, OWN_USER)
    os.setresuid(OWN_USER, OWN_USER, OWN_USER)


def confine(*, writable: Iterable[Path], readable: Iterable[Path], ports: Iterable[int]) -> None:
    """Confine this thread and all that it starts, for ever.

    It opens no TCP connection, where the kernel can forbid that (6.7).

    Args:
        writable: folders and files in which it may do everything but execute.
        readable: folders and files that it may read; one that does not exist is left out.
        ports: TCP ports on which it may listen.

    Raises:
        OSError: the kernel refused.
    """
    library, version = libc(), landlock_version()
    if version < MIN_VERSION:
        msg = f"Landlock {MIN_VERSION} is needed, the kernel offers {version or 'none'}"
        raise OSError(msg)
    rights = (1 << _FILE_RIGHTS[max(known for known in _FILE_RIGHTS if known <= version)]) - 1
    ruleset = _Ruleset(
        rights,
        _BIND_TCP | _CONNECT_TCP if version >= _NETWORK_VERSION else 0,
        _SCOPES if version >= _SCOPE_VERSION else 0,
    )
    size = 8 * (1 + (version >= _NETWORK_VERSION) + (version >= _SCOPE_VERSION))
    number = check(library.syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0))
    try:
        for paths, allowed in ((writable, rights & ~1), (readable, _READ)):
            for path in paths:
                _allow_path(number, path, allowed & rights)
        for port in ports if ruleset.network else ():
            rule = _NetPort(_BIND_TCP, port)
            check(library.syscall(_ADD_RULE, number, _RULE_NET_PORT, ctypes.byref(rule), 0))
        check(library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        check(library.syscall(_RESTRICT_SELF, number, 0))
    finally:
        os.close(number)


def _allow_path(ruleset: int, path: Path, allowed: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = _PathBeneath(allowed if path.is_dir() else allowed & _OF_A_FILE, opened)
        check(libc().syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(opened)
