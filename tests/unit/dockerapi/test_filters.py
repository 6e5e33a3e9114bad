"""The ``filters`` query parameter."""

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.dockerapi.filters import Filters, duration, timestamp


@pytest.mark.parametrize(
    "raw",
    ['{"label": ["a=b", "c"]}', '{"label": {"a=b": true, "c": true, "d": false}}'],
)
def test_both_json_forms_are_read(raw: str) -> None:
    assert Filters.parse(raw, {"label"}).values("label") == ("a=b", "c")


def test_docker_py_may_send_bare_booleans() -> None:
    assert Filters.parse('{"dangling": [true]}', {"dangling"}).flag("dangling")
    assert not Filters.parse('{"dangling": ["false"]}', {"dangling"}).flag("dangling", default=True)


@pytest.mark.parametrize("raw", ["", "{}", "null"])
def test_nothing_asked_for_matches_everything(raw: str) -> None:
    filters = Filters.parse(raw, {"name"})
    assert not filters
    assert filters.exact("name", "x")
    assert filters.labels({})
    assert filters.until() is None


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(InvalidArgument, match="^invalid filter 'colour'$"):
        Filters.parse('{"colour": ["red"]}', {"name"})


@pytest.mark.parametrize(
    "raw", ["[", "[]", '"a"', '{"name": 1}', '{"name": [{}]}', '{"name": {"a": 1}}', "[" * 100_000]
)
def test_malformed_filters_are_the_clients_fault(raw: str) -> None:
    with pytest.raises(InvalidArgument):
        Filters.parse(raw, {"name"})


def test_labels_are_matched_by_name_or_by_value_and_all_of_them() -> None:
    labels = {"a": "1", "b": ""}
    assert Filters({"label": ["a"]}).labels(labels)
    assert Filters({"label": ["a=1", "b="]}).labels(labels)
    assert not Filters({"label": ["a=2"]}).labels(labels)
    assert not Filters({"label": ["a", "c"]}).labels(labels)
    assert not Filters({"label": ["a"]}).labels(None)
    assert not Filters({"label!": ["a=1"]}).without_labels(labels)
    assert Filters({"label!": ["a=2"]}).without_labels(labels)


def test_values_of_one_key_are_alternatives() -> None:
    filters = Filters({"id": ["abc", "def"], "name": ["eb"]})
    assert filters.prefix("id", "defabc")
    assert not filters.prefix("id", "xdef")
    assert filters.contains("name", "web")
    assert not filters.exact("name", "web")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1h30m", 5400), ("1.5h", 5400), ("100ms", 0.1), ("-2m", -120), ("0", 0)],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "10x", "1h30", "1.2.3s", "-", "ten"])
def test_other_text_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000", 1_700_000_000),
        ("1700000000.500000000", 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000.123456),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        ("2023-11-14", 1_699_920_000),
        ("10m", 1_000_000_000 - 600),
    ],
)
def test_points_in_time_come_in_several_forms(text: str, expected: float) -> None:
    assert timestamp(text, now=1_000_000_000) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("text", ["yesterday", "", "1e400", "inf", "nan", "1_0", "2023-13-01"])
def test_other_text_is_no_point_in_time(text: str) -> None:
    with pytest.raises(InvalidArgument):
        timestamp(text)


def test_until_is_one_moment() -> None:
    assert Filters({"until": ["1700000000"]}).until() == 1_700_000_000
    with pytest.raises(InvalidArgument):
        Filters({"until": ["1", "2"]}).until()
