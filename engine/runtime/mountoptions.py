"""mount(8)'s options as mount(2)'s flags and data."""

from __future__ import annotations

from pymachine.engine.runtime import syscalls as sys_

_SET = {
    "ro": sys_.MS_RDONLY,
    "nosuid": sys_.MS_NOSUID,
    "nodev": sys_.MS_NODEV,
    "noexec": sys_.MS_NOEXEC,
    "sync": sys_.MS_SYNCHRONOUS,
    "mand": sys_.MS_MANDLOCK,
    "dirsync": sys_.MS_DIRSYNC,
    "noatime": sys_.MS_NOATIME,
    "nodiratime": sys_.MS_NODIRATIME,
    "relatime": sys_.MS_RELATIME,
    "strictatime": sys_.MS_STRICTATIME,
    "bind": sys_.MS_BIND,
    "rbind": sys_.MS_BIND | sys_.MS_REC,
}
_CLEAR = {
    "rw": sys_.MS_RDONLY,
    "suid": sys_.MS_NOSUID,
    "dev": sys_.MS_NODEV,
    "exec": sys_.MS_NOEXEC,
    "async": sys_.MS_SYNCHRONOUS,
    "nomand": sys_.MS_MANDLOCK,
    "atime": sys_.MS_NOATIME,
    "diratime": sys_.MS_NODIRATIME,
    "norelatime": sys_.MS_RELATIME,
    "nostrictatime": sys_.MS_STRICTATIME,
    "defaults": 0,
}
_PROPAGATION = {
    "private": sys_.MS_PRIVATE,
    "rprivate": sys_.MS_PRIVATE | sys_.MS_REC,
    "slave": sys_.MS_SLAVE,
    "rslave": sys_.MS_SLAVE | sys_.MS_REC,
    "shared": sys_.MS_SHARED,
    "rshared": sys_.MS_SHARED | sys_.MS_REC,
    "unbindable": sys_.MS_UNBINDABLE,
    "runbindable": sys_.MS_UNBINDABLE | sys_.MS_REC,
}
# What Docker puts beside mount(8)'s own and means something only to its daemon.
_IGNORED = ("z", "Z", "nocopy", "copy", "consistent", "cached", "delegated", "tmpcopyup", "rro")


def parse(options: tuple[str, ...]) -> tuple[int, int, str]:
    """Flags, propagation flags (0: not said) and the data string for the file system's driver."""
    flags, propagation, data = 0, 0, []
    for option in options:
        if option in _SET:
            flags |= _SET[option]
        elif option in _CLEAR:
            flags &= ~_CLEAR[option]
        elif option in _PROPAGATION:
            propagation = _PROPAGATION[option]
        elif option not in _IGNORED:
            data.append(option)
    return flags, propagation, ",".join(data)
