"""``ls`` in its formats: rows are what templates and programs see of machines."""

import json
from pathlib import Path

import pytest

from pymachine.machine.gotemplate.errors import TemplateError
from pymachine.machine.machine import Machine
from pymachine.machine.operations.observe import Row
from pymachine.machine.output.listing import FIELDS, as_json, by_template, duration, form
from pymachine.store.file import FileStore
from support.records import record
from support.schemas import check

ROWS = [
    Row("web", "local", state="Running", url="tcp://10.0.0.2:2376", active_host=True, docker_version="1.2"),
    Row("broken", "not found", state="Error", error="it is cut\nshort", seconds=0.0125),
]


@pytest.fixture
def row(tmp_path: Path) -> Row:
    store = FileStore(tmp_path / "store")
    engine = {"labels": ["a=1", "b=2"], "registry_mirrors": ["http://m"]}
    store.create(record("m", engine=engine, swarm={"master": True, "discovery": "token://t"}))
    return Row("m", "none", labels=("a=1", "b=2"), machine=Machine(store, store.load("m")))


def test_one_line_a_row() -> None:
    assert by_template("{{.Name}}: {{.State}} {{.ActiveHost}}")(ROWS) == "web: Running true\nbroken: Error false\n"


def test_every_field_can_be_printed() -> None:
    for name in FIELDS:
        assert by_template(f"{{{{.{name}}}}}")(ROWS).count("\n") >= 2


def test_columns_with_headings() -> None:
    lines = by_template("table {{.Name}}\t{{.DockerVersion}}\t{{.ResponseTime}}")(ROWS).splitlines()

    assert lines == ["NAME     DOCKER    RESPONSE", "web      v1.2      0s", "broken   Unknown   12.5ms"]


@pytest.mark.parametrize("text", [r"table {{.Name}}\t{{.State}}", "table{{.Name}}\t{{.State}}"])
def test_escapes_are_expanded(text: str) -> None:
    assert by_template(text)(ROWS).splitlines()[0] == "NAME     STATE"


def test_line_breaks_are_expanded() -> None:
    assert by_template(r"{{.Name}}\n{{.State}}")(ROWS) == "web\nRunning\nbroken\nError\n"


def test_headings_of_what_is_more_than_a_field(row: Row) -> None:
    text = r'table {{.Name}}\t{{join .Labels ","}}\t{{.EngineOptions.RegistryMirror}}\t{{.SwarmOptions.Master}}'

    assert by_template(text)([row]).splitlines() == [
        "NAME   LABELS    ENGINE_OPTIONS_REGISTRYMIRROR   SWARM_OPTIONS_MASTER",
        "m      a=1,b=2   [http://m]                      true",
    ]


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(TemplateError, match="template error: 1:3: can't evaluate field Nope in type machine"):
        by_template("{{.Nope}}")(ROWS)


def test_a_wrong_template_is_told_before_anybody_is_asked() -> None:
    with pytest.raises(TemplateError, match="template parsing error: 1:1: an action is not closed"):
        form("{{.Name")


@pytest.mark.parametrize("text", ["", "table"])
def test_the_table_is_the_default(text: str) -> None:
    assert form(text)(ROWS).startswith("NAME     ACTIVE")


def test_json_fits_the_schema(row: Row) -> None:
    documents = check("ls", as_json([*ROWS, row]))

    assert [document["Name"] for document in documents] == ["web", "broken", "m"]
    assert json.loads(form("json")(ROWS))[1]["Error"] == "it is cut\nshort"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.00035, "350µs"),
        (0.0125, "12.5ms"),
        (0.9999999, "1s"),
        (3.2, "3.2s"),
        (65, "1m5s"),
        (3600, "1h0m0s"),
        (3725.25, "1h2m5.25s"),
    ],
)
def test_durations_look_like_gos(seconds: float, text: str) -> None:
    assert duration(seconds) == text
