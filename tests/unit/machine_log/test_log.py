"""The log of work: complete, bounded, private, and without secrets."""

import stat
from pathlib import Path

import pytest

from pymachine.machine.errors import MachineError, RemoteCommandFailed
from pymachine.machine.log import file as log_file
from pymachine.machine.log.file import WorkLog
from pymachine.machine.log.recording import RecordingSession, recording
from pymachine.machine.log.redact import one_line, redact
from pymachine.machine.operations.report import Silent
from pymachine.machine.ssh.base import Result

KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----"


class Host:
    """A session whose commands end as told."""

    def __init__(self, result: Result | RemoteCommandFailed) -> None:
        self._result = result

    def run(self, *args: object, **kwargs: object) -> Result:
        if isinstance(self._result, RemoteCommandFailed):
            raise self._result
        return self._result

    def put(self, *args: object, **kwargs: object) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("HTTP_PROXY=http://me:pa55@proxy:3128 curl", "HTTP_PROXY=http://me:***@proxy:3128 curl"),
        ("login --password=hunter2 -u me", "login --password=*** -u me"),
        ('{"token": "abc", "n": 1}', '{"token": "***", "n": 1}'),
        ("AWS_SECRET_ACCESS_KEY=abc/def x", "AWS_SECRET_ACCESS_KEY=*** x"),
        ("api-key: abc", "api-key: ***"),
        (f"before {KEY} after", "before *** private key *** after"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "*** private key ***"),
        ("https://registry:5000/v2/ is fine", "https://registry:5000/v2/ is fine"),
        ("install -m 0600 server-key.pem", "install -m 0600 server-key.pem"),
    ],
)
def test_secrets_are_taken_out(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_a_line_is_one_line_that_moves_no_cursor() -> None:
    assert one_line("a\nb\x1b[2Jc") == "a b?[2Jc"
    assert len(one_line("x" * 10_000)) == 500


def test_commands_and_files_are_noted_without_their_content(tmp_path: Path) -> None:
    log = WorkLog(tmp_path)
    session = RecordingSession(Host(Result(0, "out", "")), log)  # type: ignore[arg-type]
    session.run("sh -s", stdin=b"secret script")
    session.put(b"secret", "/etc/key", mode=0o600)
    text = "\n".join(log.read())

    assert "run sh -s <<< 13 bytes" in text
    assert "-> status 0 after" in text
    assert "put /etc/key mode 0600, 6 bytes" in text
    assert "secret" not in text


def test_a_failed_command_says_why(tmp_path: Path) -> None:
    log = WorkLog(tmp_path)
    session = RecordingSession(Host(RemoteCommandFailed("apt-get", 100, "E: no\nE: space")), log)  # type: ignore[arg-type]
    with pytest.raises(RemoteCommandFailed):
        session.run("apt-get install x")

    assert [line.partition(" ")[2] for line in log.read()][-2:] == ["-> E: no", "-> E: space"]


def fail(directory: Path) -> None:
    with recording(directory, Silent(), "provision") as report:
        report.stage("Installing")
        report.warn("look out")
        raise MachineError("disk full")


def test_an_operation_is_noted_with_its_end(tmp_path: Path) -> None:
    with pytest.raises(MachineError):
        fail(tmp_path)
    with pytest.raises(KeyboardInterrupt), recording(tmp_path, Silent(), "provision"):
        raise KeyboardInterrupt
    with recording(tmp_path, Silent(), "provision"):
        pass
    lines = [line.partition(" ")[2] for line in WorkLog(tmp_path).read()]

    assert lines[:3] == ["=== provision", "Installing", "warning: look out"]
    assert lines[3].endswith(": disk full")
    assert "was broken off" in lines[5]
    assert "ended well" in lines[7]


def test_the_log_is_private_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "LARGEST", 2000)
    log = WorkLog(tmp_path)
    for number in range(100):
        log.write(f"line {number} " + "x" * 50)

    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 4400
    assert "line 99" in log.read()[-1]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    WorkLog(tmp_path / "missing").write("x")
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "provision.log").symlink_to(tmp_path / "elsewhere")
    WorkLog(tmp_path).write("x")

    assert (tmp_path / "elsewhere").read_text() == ""


def test_no_log_is_empty(tmp_path: Path) -> None:
    assert WorkLog(tmp_path).read() == []
