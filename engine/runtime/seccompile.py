"""Profiles to BPF programs, by libseccomp (2.5 or newer) through ctypes: seccomp_init(3) and its neighbours."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from typing import Any

from pymachine.engine.runtime.seccompprofile import Comparison, Profile, Rule

_ATTRIBUTE_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE, since 2.5
_BINARY_TREE = 2
_NR_SCMP_ERROR = -1


class _ScmpArgCmp(ctypes.Structure):
    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    ]


class _ScmpVersion(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint)]


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        raise OSError(errno.ENOENT, "libseccomp.so.2 is not installed (Debian: libseccomp2)") from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_version.restype = ctypes.POINTER(_ScmpVersion)
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    return library


def version() -> str:
    """The library's version."""
    found = _library().seccomp_version().contents
    return f"{found.major}.{found.minor}.{found.micro}"


def compile_profile(profile: Profile) -> bytes:
    """The BPF program of *profile*; `OSError` when the library refuses."""
    library = _library()
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(profile.default_action)))
    if not context:
        raise OSError(errno.EINVAL, "libseccomp refuses the default action")
    try:
        # A tree in place of a list: a system call then costs some ten instructions of BPF, not hundreds.
        library.seccomp_attr_set(context, _ATTRIBUTE_OPTIMIZE, ctypes.c_uint32(_BINARY_TREE))
        _add_architectures(library, context, profile.architectures)
        for rule in profile.rules:
            if rule.action != profile.default_action:
                _add_rule(library, context, rule)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _add_architectures(library: Any, context: ctypes.c_void_p, names: tuple[str, ...]) -> None:
    for name in names:
        token = library.seccomp_arch_resolve_name(name.encode())
        if not token:
            raise OSError(errno.EINVAL, f"unknown architecture {name}")
        _check(library.seccomp_arch_add(context, ctypes.c_uint32(token)), f"architecture {name}", errno.EEXIST)


def _add_rule(library: Any, context: ctypes.c_void_p, rule: Rule) -> None:
    for name in rule.names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _NR_SCMP_ERROR:
            continue  # not known to this library: stays with the default action
        for comparisons in _alternatives(rule.comparisons):
            array = (_ScmpArgCmp * max(1, len(comparisons)))(*map(_as_struct, comparisons))
            result = library.seccomp_rule_add_array(
                context, ctypes.c_uint32(rule.action), number, len(comparisons), array
            )
            _check(result, f"rule for {name}", errno.EEXIST, errno.EDOM)


def _alternatives(comparisons: tuple[Comparison, ...]) -> list[tuple[Comparison, ...]]:
    """The library takes one comparison an argument; several of one argument mean any of them, as in runc."""
    if len({comparison.index for comparison in comparisons}) == len(comparisons):
        return [comparisons]
    return [(comparison,) for comparison in comparisons]


def _as_struct(comparison: Comparison) -> _ScmpArgCmp:
    return _ScmpArgCmp(comparison.index, comparison.operator, comparison.value, comparison.value_two)


def _export(library: Any, context: ctypes.c_void_p) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        _check(library.seccomp_export_bpf(context, fd), "export")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _check(result: int, what: str, *fine: int) -> None:
    if result < 0 and -result not in fine:
        raise OSError(-result, f"libseccomp: {what}: {os.strerror(-result)}")
