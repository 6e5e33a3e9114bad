"""A busybox root file system, made from Debian's static busybox: the test image where no hub is reachable."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")


def rootfs_tar() -> bytes:
    """A tar of a root file system with every applet of the computer's static busybox, /etc/passwd and /tmp."""
    program = Path(shutil.which("busybox") or BUSYBOX)
    applets = subprocess.run([program, "--list-full"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:

        def add(
            name: str, *, kind: bytes = tarfile.DIRTYPE, mode: int = 0o755, data: bytes = b"", link: str = ""
        ) -> None:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.linkname, info.size = kind, mode, link, len(data)
            tar.addfile(info, io.BytesIO(data) if data else None)

        for folder in ("bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "root", "home", "proc", "sys", "dev", "var"):
            add(folder)
        add("tmp", mode=0o1777)
        add("bin/busybox", kind=tarfile.REGTYPE, data=program.read_bytes())
        for applet in applets:
            if applet != "bin/busybox" and applet.count("/") <= 2:
                add(applet, kind=tarfile.SYMTYPE, mode=0o777, link="/bin/busybox")
        passwd = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
        add("etc/passwd", kind=tarfile.REGTYPE, mode=0o644, data=passwd)
        add("etc/group", kind=tarfile.REGTYPE, mode=0o644, data=b"root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n")
    return buffer.getvalue()
