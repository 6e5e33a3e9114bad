"""Templates print what Go prints, and mistakes are told with their place."""

import pytest

from pymachine.machine.gotemplate.errors import TemplateError
from pymachine.machine.gotemplate.template import Template
from pymachine.machine.gotemplate.values import Struct
from support.gotemplates import CASES, STATUS


# Whole numbers stay whole here: Go's are fractions.
@pytest.mark.parametrize(("source", "printed"), [case for case in CASES if "float64" not in case[1]])
def test_it_prints_what_go_prints(source: str, printed: str) -> None:
    assert Template(f"{{{{with .Status}}}}{source}{{{{end}}}}").render({"Status": STATUS}) == printed


def test_join_takes_any_list() -> None:
    assert Template('{{join . ", "}}').render(["a", 1, True]) == "a, 1, true"


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("{{.}}", "2000000"),
        ("{{printf `%d %s` . .}}", "2000000 %!s(int=2000000)"),
        ("{{eq . 2000000}} {{lt . 2000000.5}}", "true true"),
    ],
)
def test_whole_numbers_stay_whole(source: str, printed: str) -> None:
    assert Template(source).render(2_000_000) == printed


def test_pretty_json_has_four_blanks_and_sorted_keys() -> None:
    assert (
        Template("{{prettyjson .}}").render({"b": [1], "a": {}}) == '{\n    "a": {},\n    "b": [\n        1\n    ]\n}'
    )


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{{.a", "1:1: an action is not closed"),
        ("text\n  {{foo .a}}", '2:5: function "foo" is not known'),
        ("{{if .a}}x", "1:3: if has no end"),
        ("{{range .a}}x{{else}}y", "1:3: range has no end"),
        ("x{{end}}", "1:4: unexpected {{end}}"),
        ("{{else}}", "1:3: unexpected {{else}}"),
        ("{{if .a}}{{else}}{{else}}{{end}}", "1:20: a second else"),
        ("{{}}", "1:3: an action lacks a value"),
        ("{{if}}{{end}}", "1:5: if lacks a value"),
        ("{{.a |}}", "1:7: an action lacks a value"),
        ("{{.a | .b}}", "1:8: what stands after | must be a function"),
        ("{{(.a}}", "1:6: unexpected }} in ( )"),
        ("{{.a)}}", "1:5: unexpected ) in an action"),
        ("{{$x}}", "1:3: the variable $x is not defined"),
        ("{{if $x := 1}}{{end}}{{$x}}", "1:24: the variable $x is not defined"),
        ("{{$x = 1}}", "1:3: the variable $x cannot be set"),
        ("{{$a, $b := .x}}", "1:3: the variable $a is not defined"),
        ('{{"abc}}', "1:3: a quoted string is not closed"),
        ("{{`abc}}", "1:3: a raw string is not closed"),
        ('{{"\\q"}}', "1:3: \\q is not an escape sequence"),
        ("{{'ab'}}", "1:3: a character constant is not closed"),
        ("{{12ab}}", "1:3: 12ab is not a number"),
        ("{{1i}}", "1:3: 1i is not a number"),
        ("{{.a ? 1}}", "1:6: unexpected '?'"),
        ("{{/* x }}", "1:1: a comment is not closed"),
        ("{{/* x */ 1}}", "1:1: a comment must be all that its action holds"),
        ('{{define "x"}}{{end}}', "1:3: define is not supported"),
        ('{{template "x"}}', "1:3: template is not supported"),
        ('{{block "x" .}}{{end}}', "1:3: block is not supported"),
        ("{{break}}", "1:3: break outside range"),
        ("{{call .a}}", '1:3: function "call" is not known'),
        ("{{.a 1}}", "1:3: only a function takes arguments"),
        ("{{1 2}}", "1:3: only a function takes arguments"),
        ('{{"a""b"}}', "1:6: unexpected b in an action"),
        ("{{nil.a}}", "1:3: unexpected .a"),
    ],
)
def test_what_cannot_be_parsed(source: str, error: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(source)

    assert str(caught.value).startswith(f"template parsing error: {error}")
    assert "docs/templates.md" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{{.s.x}}", "1:3: can't evaluate field x in type string"),
        ("{{.l.x}}", "1:3: can't evaluate field x in type list"),
        ("a\n{{.row.Nope}}", "2:3: can't evaluate field Nope in type Row"),
        ("{{index .l 9}}", "1:3: index: index out of range: 9"),
        ("{{index .l -1}}", "1:3: index: index out of range: -1"),
        ("{{index .l `a`}}", "1:3: index: can't index with a string"),
        ("{{index .n 1}}", "1:3: index: can't index a nil"),
        ("{{slice .s 2 1}}", "1:3: slice: invalid slice index: 2 > 1"),
        ("{{slice .s 0 99}}", "1:3: slice: index out of range: 99"),
        ("{{len 3}}", "1:3: len: a int has no length"),
        ("{{len}}", "1:3: len: wrong number of arguments: 0"),
        ("{{eq 1}}", "1:3: eq: wrong number of arguments: 1"),
        ("{{eq 1 `a`}}", "1:3: eq: can't compare a int with a string"),
        ("{{eq .l .l}}", "1:3: eq: can't compare a list"),
        ("{{lt true false}}", "1:3: lt: can't order a bool"),
        ("{{range .s}}{{end}}", "1:9: range can't iterate over a string"),
        ("{{range 9000000000}}{{end}}", "1:9: range over 9000000000 is too long"),
        ("{{printf 1}}", "1:3: printf: expected a string, found int"),
        ("{{printf `%[1]d` 1}}", "1:3: printf: argument indexes"),
        ("{{printf `%9999999d` 1}}", "1:3: printf: a width or precision of 9999999 is too large"),
        ("{{printf `%*d` `a` 1}}", "1:3: printf: * needs a whole number"),
        ("{{pad .s 1 9999999}}", "1:3: pad: 9999999 blanks are too many"),
        ("{{join 1 `,`}}", "1:3: join: can't join a int"),
        ("{{lower 1}}", "1:3: lower: expected a string, found int"),
        ("{{and}}", "1:3: and: wrong number of arguments: 0"),
        ("{{.s | truncate `abc`}}", "1:8: truncate: "),
    ],
)
def test_what_does_not_fit_the_data(source: str, error: str) -> None:
    data = {"s": "text", "l": ["a"], "n": None, "row": Struct("Row", {"Name": "m"})}
    with pytest.raises(TemplateError) as caught:
        Template(source).render(data)

    assert str(caught.value).startswith(f"template error: {error}")


def test_a_struct_prints_its_fields_in_their_order() -> None:
    row = Struct("Row", {"Name": "m", "Active": True, "Labels": ["a=b"]})

    assert Template("{{.}} {{printf `%+v` .}} {{json .}} {{if .}}true{{end}}").render(row) == (
        '{m true [a=b]} {Name:m Active:true Labels:[a=b]} {"Name":"m","Active":true,"Labels":["a=b"]} true'
    )


def test_deep_nesting_is_told_not_a_crash() -> None:
    with pytest.raises(TemplateError, match="nested too deep"):
        Template("{{" + "(" * 20000 + "1" + ")" * 20000 + "}}")
