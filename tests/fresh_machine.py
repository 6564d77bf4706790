"""Follow the README's first lines on bare Debian systems, and print how long each step took.

    make fresh-test [ARGUMENTS="bookworm trixie"]

mmdebstrap makes a root file system of each release, with nothing but apt. The commit that is
checked out is cloned into it, and the commands of the README's section "Try it" run there, in a
process, mount and host name space of their own. Needs root, mmdebstrap and a network; certificates
that this machine trusts beside Debian's are copied.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RELEASES = ["bookworm", "trixie"]
FOLDER = "srv/pravah"
CERTIFICATES = Path("usr/local/share/ca-certificates")
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


def main() -> int:
    """Run the commands on each release; exit 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("releases", nargs="*", default=RELEASES, help="Debian's code names")
    parser.add_argument("--mirror", help="address of a Debian mirror; default: mmdebstrap's")
    options = parser.parse_args()
    if shutil.which("mmdebstrap") is None:
        print("mmdebstrap is missing; on Debian: apt-get install mmdebstrap", file=sys.stderr)
        return 2
    failed = [one for one in options.releases if not try_release(one, options.mirror)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def readme_commands() -> list[str]:
    """The shell commands of the README's section "Try it"; lines that go on are joined."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^## Try it\n.*?^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found, 'the README has no commands in its section "Try it"'
    return found[1].replace("\\\n", " ").strip().splitlines()


def try_release(release: str, mirror: str | None) -> bool:
    """Run the README's commands on a release; return whether all ended with exit code 0."""
    with tempfile.TemporaryDirectory(prefix=f"pravah-{release}-") as folder:
        root = Path(folder) / "root"
        command = ["mmdebstrap", "--quiet", "--variant=apt", "--include=ca-certificates"]
        command += [release, str(root), *([mirror] if mirror else [])]
        if not step(release, "file system", command):
            return False
        shutil.copytree(Path("/") / CERTIFICATES, root / CERTIFICATES, dirs_exist_ok=True)
        shutil.copy("/etc/resolv.conf", root / "etc")
        shutil.copy("/etc/hosts", root / "etc")
        clone = ["git", "clone", "--quiet", str(ROOT), str(root / FOLDER)]
        return (
            step(release, "clone", clone)
            and step(release, "certificates", inside(root, "update-ca-certificates"))
            and all(step(release, one, inside(root, one)) for one in readme_commands())
        )


def inside(root: Path, command: str) -> list[str]:
    """A command that runs in the clone on a root file system, as on a system that was booted."""
    isolated = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
    mounts = (
        f"mount -t proc proc {root}/proc && mount -t tmpfs shm {root}/dev/shm"
        f" && mkdir -p {root}/dev/pts && mount -t devpts -o newinstance,ptmxmode=666 pts"
        f" {root}/dev/pts && mount --bind {root}/dev/pts/ptmx {root}/dev/ptmx"
    )
    variables = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    shell = f'exec env -i {variables} chroot {root} /bin/sh -ec "$0"'
    return [*isolated, "/bin/sh", "-ec", f"{mounts} && {shell}", f"cd /{FOLDER}\n{command}"]


def step(release: str, name: str, command: list[str]) -> bool:
    """Run a command, print its name and seconds, and its output if it fails."""
    began = time.monotonic()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    shown = name if len(name) <= 60 else f"{name[:59]}…"
    outcome = "" if done.returncode == 0 else f"  exit {done.returncode}"
    print(f"{release:10} {time.monotonic() - began:6.0f} s  {shown}{outcome}", flush=True)
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-30:]), flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
