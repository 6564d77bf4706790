"""Confinement of a process by a mount namespace, for kernels without Landlock.

The process gets a root folder of its own, in which its folders and files are the only ones. It
needs a kernel that lets users make namespaces, or root with the right to mount.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from stack.system_calls import check, libc

# Numbers of unshare(2), mount(2), umount2(2) and of a system call.
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PIVOT_ROOT = 155  # x86-64, as libchdb is
# Always there, by its number.
_OWN_PROCESS = Path("/proc/self")


def is_available() -> bool:
    """Whether this process may make such a namespace; a child tries it."""
    child = os.fork()
    if child == 0:
        os._exit(libc().unshare(_list_namespaces()) != 0)
    return os.waitpid(child, 0)[1] == 0


def _list_namespaces() -> int:
    return _CLONE_NEWNS if os.geteuid() == 0 else _CLONE_NEWNS | _CLONE_NEWUSER


def isolate(root: Path, *, writable: Iterable[Path], readable: Iterable[Path]) -> None:
    """Leave nothing of the file system to this process but what is named. It has one thread.

    Args:
        root: an empty folder, over which the new root is mounted; others do not see that.
        writable: absolute paths of folders and files.
        readable: the same, mounted read-only; one that does not exist is left out.

    Raises:
        OSError: the kernel refused, and the process must end: it may be half isolated.
    """
    user, group = os.geteuid(), os.getegid()
    check(libc().unshare(_list_namespaces()))
    if user != 0:
        Path("/proc/self/setgroups").write_bytes(b"deny")
        Path("/proc/self/uid_map").write_bytes(b"%d %d 1" % (user, user))
        Path("/proc/self/gid_map").write_bytes(b"%d %d 1" % (group, group))
    _mount(None, Path("/"), None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    for paths, flags in ((readable, _MS_RDONLY), (writable, 0)):
        for path in paths:
            if path.exists() and path != _OWN_PROCESS:
                _bind(path, root, flags)
    process = Path("/proc") / str(os.getpid())
    _bind(process, root, 0)
    (root / "proc" / "self").symlink_to(str(os.getpid()))
    old = root / "old"
    old.mkdir()
    library = libc()
    check(library.syscall(_PIVOT_ROOT, os.fsencode(root), os.fsencode(old)))
    os.chdir("/")
    check(library.umount2(b"/old", _MNT_DETACH))
    Path("/old").rmdir()


def _bind(path: Path, root: Path, flags: int) -> None:
    target = root / path.relative_to("/")
    if stat.S_ISDIR(path.stat().st_mode):
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(str(path), target, None, _MS_BIND | _MS_REC)
    if flags:
        # flags that the mount has already may not be taken from it in a user namespace
        kept = _mount_flags(target)
        _mount(None, target, None, _MS_BIND | _MS_REMOUNT | flags | kept)


def _mount_flags(path: Path) -> int:
    """The flags of a mount, as statvfs(3) has them: they are those of mount(2)."""
    return os.statvfs(path).f_flag & (_MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)


def _mount(source: str | None, target: Path, kind: str | None, flags: int) -> None:
    check(
        libc().mount(
            None if source is None else os.fsencode(source),
            os.fsencode(target),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            None,
        )
    )
