"""The device rules of control groups version 2: a BPF program that the kernel asks at each open and mknod.

The program looks at ``struct bpf_cgroup_dev_ctx`` (linux/bpf.h): access and type in one word, major, minor. It
tries each rule in turn and allows what the first fitting one allows; all else is refused.
Source: Documentation/bpf/instruction-set, bpf(2).
"""

from __future__ import annotations

import ctypes
import os

from pymachine.engine.runtime import syscalls as sys_

_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_ANY = 7
# Operation codes: class, width or operation, and whether the operand is immediate.
_LOAD_WORD, _MOVE, _MOVE_REGISTER, _AND, _SHIFT_RIGHT, _JUMP_IF_NOT, _EXIT = 0x61, 0xB4, 0xBC, 0x54, 0x74, 0x55, 0x95
_RESULT, _CONTEXT, _TYPE, _REQUESTED, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5
_BPF_PROG_LOAD, _BPF_PROG_ATTACH = 5, 8
_BPF_PROG_TYPE_CGROUP_DEVICE, _BPF_CGROUP_DEVICE, _BPF_F_ALLOW_MULTI = 15, 6, 2


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return (
        bytes((code, source << 4 | target)) + offset.to_bytes(2, "little") + (value & 0xFFFFFFFF).to_bytes(4, "little")
    )


_PROLOGUE = b"".join(
    (
        _instruction(_LOAD_WORD, _TYPE, _CONTEXT, 0),
        _instruction(_MOVE_REGISTER, _REQUESTED, _TYPE),
        _instruction(_SHIFT_RIGHT, _REQUESTED, value=16),
        _instruction(_AND, _TYPE, value=0xFFFF),
        _instruction(_LOAD_WORD, _MAJOR, _CONTEXT, 4),
        _instruction(_LOAD_WORD, _MINOR, _CONTEXT, 8),
    )
)


def _finish(allowed: int) -> bytes:
    return _instruction(_MOVE, _RESULT, value=allowed) + _instruction(_EXIT)


def assemble(rules: tuple[str, ...]) -> bytes:
    """The program for *rules* (``c 1:3 rwm``, ``b *:* m``, ``a *:* rwm``)."""
    return _PROLOGUE + b"".join(map(_rule, rules)) + _finish(0)


def _rule(rule: str) -> bytes:
    kind, numbers, access = rule.split()
    major, minor = numbers.split(":")
    tests: list[tuple[int, int]] = []
    if kind != "a":
        tests.append((_TYPE, _TYPES[kind]))
    if major != "*":
        tests.append((_MAJOR, int(major)))
    if minor != "*":
        tests.append((_MINOR, int(minor)))
    allowed = sum(_ACCESS[letter] for letter in set(access))
    parts = []
    if allowed != _ANY:  # what is requested beyond what is allowed must be nothing
        parts.append(_instruction(_MOVE_REGISTER, _CONTEXT, _REQUESTED))
        parts.append(_instruction(_AND, _CONTEXT, value=_ANY & ~allowed))
        tests.insert(0, (_CONTEXT, 0))
    left = len(tests)
    for register, value in tests:
        left -= 1
        parts.append(_instruction(_JUMP_IF_NOT, register, offset=left + 2, value=value))
    return b"".join((*parts, _finish(1)))


def attach(folder: str, rules: tuple[str, ...]) -> None:
    """Let the control group *folder* use the devices of *rules* and no others; `OSError` where that can't be."""
    program = assemble(rules)
    code, licence = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"Apache-2.0")
    load = (ctypes.c_uint64 * 16)()
    load[0] = _BPF_PROG_TYPE_CGROUP_DEVICE | len(program) // 8 << 32
    load[1], load[2] = ctypes.addressof(code), ctypes.addressof(licence)
    loaded = sys_.bpf(_BPF_PROG_LOAD, load)
    group = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        words = (ctypes.c_uint64 * 16)()
        words[0] = group | loaded << 32
        words[1] = _BPF_CGROUP_DEVICE | _BPF_F_ALLOW_MULTI << 32
        sys_.bpf(_BPF_PROG_ATTACH, words)
    finally:
        os.close(group)
        os.close(loaded)
