"""Tables, progress lines, natural order."""

import io
import re

from pymachine.machine.names import natural
from pymachine.machine.operations.observe import Row
from pymachine.machine.output.listing import as_table
from pymachine.machine.output.progress import Live, Plain
from pymachine.machine.output.table import table


def test_the_empty_list_is_docker_machines_header() -> None:
    assert as_table([]) == "NAME   ACTIVE   DRIVER   STATE   URL   SWARM   DOCKER   ERRORS\n"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(["A", "B"], [["long one", "x"], ["s", "y"]]) == "A          B\nlong one   x\ns          y\n"


def test_a_row_of_a_running_machine() -> None:
    row = Row("m", "local", state="Running", url="tcp://10.0.0.2:2376", active_host=True, docker_version="1.2")

    assert as_table([row]).splitlines()[1].split() == ["m", "*", "local", "Running", row.url, "v1.2"]


def test_a_cell_stays_on_its_line() -> None:
    assert table(["ERRORS"], [["first\nsecond"]]).splitlines()[1] == "first second"


def test_names_sort_by_their_numbers() -> None:
    assert sorted(["a10", "A9", "b", "a1b2", "a1b10"], key=natural) == ["a1b2", "a1b10", "A9", "a10", "b"]


def test_plain_progress_is_one_line_a_message() -> None:
    stream = io.StringIO()
    shown = Plain(stream)
    shown.stage("Creating machine...")
    shown.note("(m) Booting...")
    shown.say("done")
    shown.close()

    assert stream.getvalue() == "Creating machine...\n(m) Booting...\ndone\n"


def test_live_progress_leaves_each_stage_with_its_seconds() -> None:
    stream = io.StringIO()
    shown = Live(stream, columns=60)
    shown.stage("One...")
    shown.note("(m) detail")
    shown.stage("Two...")
    shown.close(failed=True)
    lines = [line.rpartition("\r\x1b[K")[2] for line in stream.getvalue().rstrip("\n").split("\n")]

    assert [re.sub(r"[\d.]+ s$", "N s", line) for line in lines] == ["✓ One... N s", "✗ Two... N s"]


def test_live_progress_never_fills_the_last_column() -> None:
    stream = io.StringIO()
    shown = Live(stream, columns=30)
    shown.stage("A stage with a very long name indeed")
    shown.note("and a note that is longer still")
    shown.close()
    painted = [part for line in stream.getvalue().split("\n") for part in line.split("\r\x1b[K")]

    assert max(map(len, painted)) < 30
