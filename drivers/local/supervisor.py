"""The program that becomes a machine's outermost process; run as a file by `pymachine.drivers.local.launch`.

It enters the machine's cgroups, then starts process 1 of a PID namespace, in a mount namespace of its own: a
shell that runs systemd-nspawn, and runs it again when the machine reboots. Two things follow: when that process
dies, in whatever way, the kernel ends every process of the machine; and the overlay mount is seen by nobody
else and goes with the last of them. Nothing is left to be swept on the computer but empty cgroups.

Standard library only and no import of ours, so that ``python -I -S`` starts it in a few milliseconds.
Sources: unshare(2), pid_namespaces(7), mount(2), systemd-nspawn(1) and systemd's ENVIRONMENT document.
"""

import ctypes
import json
import os
import sys
from typing import Any

CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x4000, 0x40000
RUN_NSPAWN = "/run/systemd/nspawn"
LOOP = """
trap 'kill -TERM "$pid"' TERM
tree=$1; shift
if [ "$tree" ]; then
    mkdir "$tree/shell" && echo 0 >"$tree/shell/cgroup.procs"
    for controller in $(cat "$tree/cgroup.controllers"); do
        echo "+$controller" >"$tree/cgroup.subtree_control"
    done
fi
run() {
    [ -z "$tree" ] || echo 0 >"$tree/boot/cgroup.procs"
    exec "$@" 9>&-
}
while :; do
    [ -z "$tree" ] || { find "$tree/boot" -depth -type d -exec rmdir {} + 2>/dev/null; mkdir -p "$tree/boot"; }
    run "$@" & pid=$!
    wait "$pid"; status=$?
    while kill -0 "$pid" 2>/dev/null; do wait "$pid"; status=$?; done
    [ "$status" -eq 133 ] || exit "$status"
done
"""
"""A shell is a tenth of a Python process. nspawn ends with 133 when the machine wants to reboot; SIGTERM makes it
shut the machine down (systemd-nspawn(1)), as when systemd stops the unit. In the v2 tree a cgroup with processes of
its own gives its children no controllers (cgroups(7)), so the shell and each boot have one beside each other."""

_libc = ctypes.CDLL(None, use_errno=True)


def main(plan_path: str) -> None:
    """Start the machine that the plan (JSON) describes; ends when it is running and noted in the pid file."""
    with open(plan_path, "rb") as file:
        plan = json.load(file)
    os.chdir(os.path.dirname(os.path.abspath(plan_path)))
    keep_lock(plan["lock"])
    _redirect(plan["console"])
    try:
        start(plan)
    except OSError as error:
        sys.exit(f"pymachine: cannot start the machine: {error}")


def start(plan: dict[str, Any]) -> None:
    """Fork the machine's process and note it. It waits until it is noted, so none ever runs unknown."""
    for directory in plan["cgroups"]:
        with open(os.path.join(directory, "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))
    os.umask(0o022)
    tree = own_v2_cgroup(_read("/proc/self/cgroup"), _read("/proc/self/mountinfo"))
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWPID), "unshare")
    noted, note = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(note)
        if os.read(noted, 1) == b"1":
            _become(plan, tree)
        os._exit(1)
    _note(plan["pid_file"], pid)
    os.write(note, b"1")


def own_v2_cgroup(cgroups: str, mountinfo: str) -> str:
    """Where this process is in the v2 tree; empty when it has no cgroup of its own there.

    *cgroups* is the text of proc's ``self/cgroup``, *mountinfo* that of ``self/mountinfo``.
    """
    path = next((line[3:] for line in cgroups.splitlines() if line.startswith("0::")), "/")
    for line in mountinfo.splitlines():
        if " - cgroup2 " in line and path != "/":
            return line.split()[4] + path
    return ""


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _become(plan: dict[str, Any], tree: str) -> None:
    """Mount what only this machine sees, and turn into the shell over nspawn. Does not return."""
    try:
        os.setsid()
        mount("none", "/", "", MS_REC | MS_PRIVATE)
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        lower = os.open(plan["lower"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # By descriptor and relative names: colons and commas in paths would be taken for option syntax.
        mount("overlay", "root", "overlay", 0, f"lowerdir=/proc/self/fd/{lower},upperdir=upper,workdir=work")
        # nspawn leaves directories here when it is killed; in a file system of ours they go with it.
        os.makedirs(RUN_NSPAWN, exist_ok=True)
        mount("tmpfs", RUN_NSPAWN, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
        os.execve("/bin/sh", ["sh", "-c", LOOP, "sh", tree, *plan["argv"]], plan["env"])
    except OSError as error:
        os.write(2, f"pymachine: cannot start the machine: {error}\n".encode())
    os._exit(1)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    arguments = [text.encode() for text in (source, target, kind)]
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode()), f"mount {kind or 'propagation'} on {target}")


def _check(status: int, what: str) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _redirect(console: str) -> None:
    """Input from nowhere, output to the console log."""
    handle = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, opened in ((0, nothing), (1, handle), (2, handle)):
        os.dup2(opened, number)


def keep_lock(descriptor: int) -> None:
    """Hold the machine's start lock, which the driver took, for as long as the machine lives.

    The shell has it as descriptor 9, since it can name no higher one, and keeps it from nspawn.
    """
    if descriptor >= 0:
        os.dup2(descriptor, 9)


def _note(path: str, pid: int) -> None:
    """Write the pid file: JSON for the driver, beside it a bare number for systemd's ``PIDFile=``."""
    with open(f"/proc/{pid}/stat") as file:
        start_time = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot_id = file.read().strip()
    for name, text in (
        (path, json.dumps({"pid": pid, "start_time": start_time, "boot_id": boot_id})),
        (f"{path}.number", f"{pid}\n"),
    ):
        with open(f"{name}.new", "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{name}.new", name)


if __name__ == "__main__":
    main(sys.argv[1])
