"""``-f`` of ``ls`` and ``inspect`` through the real program, as docker-machine's scripts use it."""

import pytest

from support.program import Program

URL = "tcp://127.0.0.1:1"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Machines a9, a10, B1 and a damaged one; tests must not change them."""
    program = Program(tmp_path_factory.mktemp("formats") / "store")
    for name in ("a10", "a9", "B1", "broken"):
        program.ok("create", "-d", "none", "--none-url", URL, "--engine-label", f"id={name}", name)
    (program.store / "machines" / "broken" / "record.json").write_text('{"name": "bro')
    return program


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{.Driver.URL}}", URL),
        ("{{.DriverName}} {{.Name}}", "none a9"),
        ("{{json .HostOptions.EngineOptions.Labels}}", '["id=a9"]'),
        ("{{range .HostOptions.EngineOptions.Labels}}{{.}};{{end}}", "id=a9;"),
        ("{{if .HostOptions.SwarmOptions.IsSwarm}}swarm{{else}}single{{end}}", "single"),
        ("{{.Driver.Nope}}", "<no value>"),
        ("{{prettyjson .Driver.SSHPort}}", "0"),
        ("{{.HostOptions.AuthOptions.StorePath}}", "STORE/machines/a9"),
        ("plain", "plain"),
    ],
)
def test_inspect(filled: Program, template: str, printed: str) -> None:
    for flag in ("-f", "--format", "-format"):
        assert filled.ok("inspect", flag, template, "a9") == printed.replace("STORE", str(filled.store)) + "\n"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("inspect", "-f", "{{.Name", "a9"), "template parsing error: 1:1: an action is not closed"),
        (("inspect", "-f", '{{template "x"}}', "a9"), "template parsing error: 1:3: template is not supported"),
        (("inspect", "-f", "{{.Name.First}}", "a9"), "template error: 1:3: can't evaluate field First in type string"),
        (("ls", "-f", "{{foo}}"), 'template parsing error: 1:3: function "foo" is not known'),
        (("ls", "-f", "{{.Nope}}"), "template error: 1:3: can't evaluate field Nope in type machine"),
    ],
)
def test_mistakes_are_one_line_with_their_place(filled: Program, args: tuple[str, ...], says: str) -> None:
    done = filled.run(*args)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [says, "docs/templates.md describes what templates can do."]


def test_the_list_is_sorted_naturally_and_names_as_the_directory_is(filled: Program) -> None:
    assert filled.ok("ls", "-f", "{{.Name}}").split() == ["a9", "a10", "B1", "broken"]
    assert filled.ok("ls", "-q").split() == ["B1", "a10", "a9"]


def test_a_damaged_record_is_a_row_of_every_format(filled: Program) -> None:
    text = filled.ok("ls", "-f", "{{.DriverName}}|{{.State}}|{{.Error}}|{{.EngineOptions}}", "--filter", "state=error")

    assert text.startswith("not found|Error|it is cut short")
    assert text.endswith("|<no value>\n")


def test_columns_of_ones_own(filled: Program) -> None:
    lines = filled.ok(
        "ls", "--format", r"table {{.Name}}\t{{.DriverName}}\t{{.URL}}", "--filter", "name=a"
    ).splitlines()

    assert lines == [
        "NAME   DRIVER   URL",
        f"a9     none     {URL}",
        f"a10    none     {URL}",
    ]


def test_labels_filter_by_value_and_by_key(filled: Program) -> None:
    assert filled.ok("ls", "-q", "--filter", "label=id=A9") == "a9\n"
    assert filled.ok("ls", "-q", "--filter", "label=id").split() == ["B1", "a10", "a9"]
    assert filled.run("ls", "--filter", "name=[").returncode == 1


def test_no_time_is_a_timeout_for_all(filled: Program) -> None:
    lines = filled.ok("ls", "-t", "0", "-f", "{{.Name}} {{.State}} {{.URL}}.").splitlines()

    assert lines == ["a9 Timeout .", "a10 Timeout .", "B1 Timeout .", "broken Error ."]
