"""``ls --filter``."""

import pytest

from pymachine.machine.errors import MachineError
from pymachine.machine.operations.observe import Row
from pymachine.machine.operations.select import parse_filters

ROWS = [
    Row("web1", "local", state="Running", labels=("role=Web", "zone=a")),
    Row("web2", "none", state="Stopped", swarm="web1", labels=("odd",)),
    Row("db", "local", state="Error", swarm="db (master)"),
]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], ["web1", "web2", "db"]),
        (["driver=LOCAL"], ["web1", "db"]),
        (["state=running"], ["web1"]),
        (["NAME=^web"], ["web1", "web2"]),
        (["name=eb"], ["web1", "web2"]),
        (["name=web1", "name=db"], ["web1", "db"]),
        (["name=web", "driver=none"], ["web2"]),
        (["swarm=WEB1"], ["web2"]),
        (["swarm=db"], ["db"]),
        (["label=role=web"], ["web1"]),
        (["label=zone"], ["web1"]),
        (["label=odd"], ["web2"]),
        (["label=zone=b"], []),
    ],
)
def test_which_rows_pass(filters: list[str], names: list[str]) -> None:
    test = parse_filters(filters)

    assert [row.name for row in ROWS if test(row)] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("driver", "Unsupported filter syntax"),
        ("zzz=1", "Unsupported filter key 'zzz'"),
        ("name=(", "not a regular expression"),
    ],
)
def test_a_wrong_filter_is_refused(text: str, message: str) -> None:
    with pytest.raises(MachineError, match=message):
        parse_filters([text])
