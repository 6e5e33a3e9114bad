"""The published JSON schemas, as tests hold real output to them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = files("pymachine").joinpath("templates", "schemas")


def names() -> list[str]:
    """All schemas."""
    return sorted(path.name.removesuffix(".json") for path in FOLDER.iterdir() if path.name.endswith(".json"))


def load(name: str) -> dict[str, Any]:
    """The schema as it is published."""
    document = json.loads(FOLDER.joinpath(f"{name}.json").read_text())
    assert isinstance(document, dict)
    return document


def check(name: str, output: str) -> Any:
    """*output* as JSON, which fits the schema and has no field that the schema does not describe."""
    document = json.loads(output)
    problems = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(
            _closed(load(name)), format_checker=Draft202012Validator.FORMAT_CHECKER
        ).iter_errors(document)
    ]
    assert problems == []
    return document


def _closed(schema: Any) -> Any:
    """Published schemas let later versions add fields; here an unknown field is one that nobody has described."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    return {"additionalProperties": False, **closed} if "properties" in schema else closed
