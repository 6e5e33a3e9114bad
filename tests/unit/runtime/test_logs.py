"""Logs: what is written comes back, in both formats, from the end, rotated, and followed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest

from pymachine.engine.runtime import logfile
from pymachine.engine.runtime.logframes import parse_time
from pymachine.engine.runtime.logreader import LogEntry, open_reader
from pymachine.engine.runtime.spec import LogSpec

Driver = Literal["local", "json-file"]
SECOND = 10**9
both = pytest.mark.parametrize("driver", ["local", "json-file"])


def spec_for(folder: Path, driver: Driver, *, max_size: int = 0, max_files: int = 5) -> LogSpec:
    return LogSpec(driver, str(folder / "log"), max_size, max_files)


def write(spec: LogSpec, *chunks: bytes, stream: int = 1, first: int = 1) -> None:
    writer = logfile.open_writer(spec)
    for number, chunk in enumerate(chunks, first):
        writer.write(stream, chunk, number * SECOND)
    writer.close()


def read(spec: LogSpec, *, tail: int | None = None, since: int = 0, until: int = 0) -> list[LogEntry]:
    reader = open_reader(spec, tail=tail, since=since, until=until)
    entries = []
    while found := reader.read():
        entries += found
    entries += reader.finish()
    reader.close()
    return entries


def text(entries: list[LogEntry]) -> bytes:
    return b"".join(entry.data for entry in entries)


@both
def test_lines_come_back_with_stream_and_time(tmp_path: Path, driver: Driver) -> None:
    spec = spec_for(tmp_path, driver)
    write(spec, b"one\ntwo\n")
    write(spec, b"wrong\n", stream=2, first=5)
    assert read(spec) == [LogEntry(SECOND, 1, b"one\ntwo\n"), LogEntry(5 * SECOND, 2, b"wrong\n")]


@both
def test_a_line_written_in_parts_is_one_entry(tmp_path: Path, driver: Driver) -> None:
    spec = spec_for(tmp_path, driver)
    write(spec, b"one\ntw", b"o\nthree\n")
    assert [entry.data for entry in read(spec)] in ([b"one\n", b"two\n", b"three\n"], [b"one\n", b"two\nthree\n"])


@both
def test_a_carriage_return_does_not_end_a_line(tmp_path: Path, driver: Driver) -> None:
    spec = spec_for(tmp_path, driver)
    write(spec, b"10%\r20%\rdone\nnext\n")
    entries = read(spec)
    assert [line for entry in entries for line in entry.lines()] == [b"10%\r20%\rdone\n", b"next\n"]
    assert text(read(spec, tail=2)) == b"10%\r20%\rdone\nnext\n"


@both
def test_a_last_line_without_newline_is_kept(tmp_path: Path, driver: Driver) -> None:
    spec = spec_for(tmp_path, driver)
    write(spec, b"one\nprompt> ")
    assert text(read(spec)) == b"one\nprompt> "
    assert text(read(spec, tail=1)) == b"prompt> "


@both
@pytest.mark.parametrize("tail", [0, 1, 2, 9, 10, 11, 5000])
def test_tail_gives_that_many_last_lines(tmp_path: Path, driver: Driver, tail: int) -> None:
    spec = spec_for(tmp_path, driver)
    lines = [b'line %d "quoted" \\n\n' % number for number in range(10)]
    write(spec, *lines)
    assert text(read(spec, tail=tail)) == b"".join(lines[10 - min(tail, 10) :])


@both
@pytest.mark.parametrize("tail", [1, 700, 3999, 4000])
def test_tail_reaches_over_blocks_and_rotated_files(tmp_path: Path, driver: Driver, tail: int) -> None:
    spec = spec_for(tmp_path, driver, max_size=100_000, max_files=20)
    lines = [b"%05d %s\n" % (number, b"x" * (number % 150)) for number in range(4000)]
    write(spec, *(b"".join(lines[at : at + 7]) for at in range(0, 4000, 7)))
    assert (tmp_path / "log.1").exists()
    assert text(read(spec)) == b"".join(lines)
    assert text(read(spec, tail=tail)) == b"".join(lines[-tail:])


@both
def test_no_more_files_than_asked_for_are_kept(tmp_path: Path, driver: Driver) -> None:
    spec = spec_for(tmp_path, driver, max_size=500, max_files=3)
    write(spec, *(b"%0100d\n" % number for number in range(100)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert text(read(spec)).endswith(b"%0100d\n" % 99)


@both
def test_one_file_only_starts_over(tmp_path: Path, driver: Driver) -> None:
    spec = spec_for(tmp_path, driver, max_size=500, max_files=1)
    write(spec, *(b"%0100d\n" % number for number in range(10)))
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert text(read(spec)).endswith(b"%0100d\n" % 9)


@both
def test_since_and_until_bound_the_time(tmp_path: Path, driver: Driver) -> None:
    spec = spec_for(tmp_path, driver)
    write(spec, b"a\n", b"b\n", b"c\n", b"d\n")
    assert text(read(spec, since=2 * SECOND, until=3 * SECOND)) == b"b\nc\n"


@both
def test_following_goes_on_through_rotations(tmp_path: Path, driver: Driver) -> None:
    spec = spec_for(tmp_path, driver, max_size=300, max_files=3)
    reader = open_reader(spec)
    assert reader.read() == []  # nothing is there yet
    writer = logfile.open_writer(spec)
    got = b""
    for number in range(20):
        writer.write(1, b"%0100d\n" % number, SECOND)
        while entries := reader.read():
            got += text(entries)
    writer.close()
    assert got == b"".join(b"%0100d\n" % number for number in range(20))
    reader.close()


@both
def test_a_very_long_line_comes_in_pieces_that_say_so(tmp_path: Path, driver: Driver) -> None:
    spec = spec_for(tmp_path, driver)
    write(spec, b"x" * 40_000, b"y" * 40_000, b"\nnext\n")
    entries = read(spec)
    assert text(entries) == b"x" * 40_000 + b"y" * 40_000 + b"\nnext\n"
    assert [entry.continued for entry in entries[:2]] == [False, True]


def test_a_half_written_frame_is_cut_off_when_writing_goes_on(tmp_path: Path) -> None:
    spec = spec_for(tmp_path, "local")
    write(spec, b"one\n", b"two\n")
    with open(spec.path, "ab") as file:
        file.write(logfile.frame(1, b"lost\n", 1)[:-3])
    assert text(read(spec, tail=1)) == b"two\n"
    write(spec, b"three\n")
    assert text(read(spec)) == b"one\ntwo\nthree\n"


def test_json_file_is_what_docker_writes(tmp_path: Path) -> None:
    spec = spec_for(tmp_path, "json-file")
    write(spec, b'caf\xc3\xa9 "x" \xff\x01\n')
    line = json.loads((tmp_path / "log").read_text())
    assert line == {"log": 'café "x" \ufffd\x01\n', "stream": "stdout", "time": "1970-01-01T00:00:01.000000000Z"}


def test_a_damaged_json_line_hides_no_other(tmp_path: Path) -> None:
    spec = spec_for(tmp_path, "json-file")
    write(spec, b"one\n")
    with open(spec.path, "ab") as file:
        file.write(b'{"log":"br\n[]\n')
    write(spec, b"two\n")
    assert text(read(spec)) == b"one\ntwo\n"


def test_times_keep_their_nanoseconds() -> None:
    when = 1_700_000_000_123_456_789
    assert parse_time(logfile.rfc3339(when)) == when
    assert parse_time("2023-11-14T23:13:20.5+01:00") == 1_700_000_000_500_000_000
    assert parse_time("2023-11-14T22:13:20Z") == 1_700_000_000_000_000_000


def test_a_log_that_is_not_kept_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="does not support reading"):
        open_reader(LogSpec("none"))
