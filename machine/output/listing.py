"""``ls``: rows as a table, as JSON, or as a Go template says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pymachine.machine.operations.observe import Row
from pymachine.machine.output.document import as_document
from pymachine.machine.output.table import columns, table

if TYPE_CHECKING:
    from pymachine.machine.gotemplate.template import Template
    from pymachine.machine.gotemplate.values import Struct

HEADER = ("NAME", "ACTIVE", "DRIVER", "STATE", "URL", "SWARM", "DOCKER", "ERRORS")

FIELDS: Mapping[str, str] = {
    "Name": "NAME",
    "Active": "ACTIVE",
    "ActiveHost": "ACTIVE_HOST",
    "ActiveSwarm": "ACTIVE_SWARM",
    "DriverName": "DRIVER",
    "State": "STATE",
    "URL": "URL",
    "SwarmOptions": "SWARM_OPTIONS",
    "Swarm": "SWARM",
    "EngineOptions": "ENGINE_OPTIONS",
    "Error": "ERRORS",
    "DockerVersion": "DOCKER",
    "ResponseTime": "RESPONSE",
    "Labels": "LABELS",
    "CertificateExpires": "CERTIFICATE_EXPIRES",
    "ExpiresAt": "EXPIRES_AT",
}
"""What templates may use of a row, with the heading that ``table`` prints over it."""
_ESCAPES = {"\\t": "\t", "\\n": "\n"}


def as_table(rows: Sequence[Row]) -> str:
    """docker-machine's columns; before the last how long it is until a machine goes by itself, if one does."""
    cells = [_cells(row) for row in rows]
    if not any(row.expires_at for row in rows):
        return table(HEADER, cells)
    from pymachine.machine.lifetime.duration import until

    spans = (until(row.expires_at) for row in rows)
    with_spans = [(*line[:-1], span, line[-1]) for line, span in zip(cells, spans, strict=True)]
    return table((*HEADER[:-1], "EXPIRES", HEADER[-1]), with_spans)


def as_json(rows: Sequence[Row]) -> str:
    """One array; the names are those of docker-machine's format fields."""
    return as_document([_fields(row) for row in rows])


def form(text: str) -> Callable[[Sequence[Row]], str]:
    """What prints rows as ``--format`` says: ``table``, ``json`` or a Go template; raises `TemplateError`."""
    if text in ("table", ""):
        return as_table
    return as_json if text == "json" else by_template(text)


def by_template(text: str) -> Callable[[Sequence[Row]], str]:
    """What prints one line a row; after a leading ``table`` in columns with headings. Raises `TemplateError`."""
    from pymachine.machine.gotemplate.template import Template

    in_columns = text.startswith("table")
    for escape, meaning in _ESCAPES.items():
        text = text.replace(escape, meaning)
    text = text.removeprefix("table").lstrip(" ") if in_columns else text
    template = Template(text)

    def show(rows: Sequence[Row]) -> str:
        lines = [template.render(_struct(row)) for row in rows]
        if in_columns:
            return columns("\n".join([_headings(text, template), *lines]))
        return "".join(f"{line}\n" for line in lines)

    return show


def _headings(text: str, template: Template) -> str:
    """What the template makes of the headings, as docker-machine has it; where it needs more than the headings' texts
    (fields of fields, lists), the names of the fields that each column starts with."""
    from pymachine.machine.gotemplate.errors import TemplateError
    from pymachine.machine.gotemplate.values import Struct

    try:
        return template.render(Struct("machine", FIELDS))
    except TemplateError:
        chains = (re.search(r"\.([A-Z][\w.]*)", cell) for cell in text.split("\t"))
        names = ([FIELDS.get(name, name.upper()) for name in chain[1].split(".")] if chain else [] for chain in chains)
        return "\t".join(map("_".join, names))


def _cells(row: Row) -> tuple[str, ...]:
    return row.name, row.active, row.driver, row.state, row.url, row.swarm, row.docker, row.error


def _fields(row: Row) -> dict[str, Any]:
    certificate = row.certificate
    return {
        "Name": row.name,
        "Active": row.active,
        "ActiveHost": row.active_host,
        "ActiveSwarm": row.active_swarm,
        "DriverName": row.driver,
        "State": row.state,
        "URL": row.url,
        "Swarm": row.swarm,
        "DockerVersion": row.docker,
        "Labels": list(row.labels),
        "Error": row.error,
        "ResponseTime": round(row.seconds, 3),
        "CertificateExpires": f"{certificate.at:%Y-%m-%dT%H:%M:%SZ}" if certificate else None,
        "ExpiresAt": row.expires_at or None,
    }


def _struct(row: Row) -> Struct:
    """The row as templates see it."""
    from pymachine.machine.gotemplate.values import Struct
    from pymachine.machine.output.inspect import engine_options, swarm_options

    machine = row.machine
    options: dict[str, Any] = {"SwarmOptions": None, "EngineOptions": None}
    if machine is not None:
        options = {
            "SwarmOptions": Struct("SwarmOptions", swarm_options(machine.swarm, machine.engine)),
            "EngineOptions": Struct("EngineOptions", engine_options(machine.engine)),
        }
    fields = {**_fields(row), **options, "ResponseTime": duration(row.seconds)}
    fields |= {name: fields[name] or "" for name in ("CertificateExpires", "ExpiresAt")}
    return Struct("machine", {name: fields[name] for name in FIELDS})


def duration(seconds: float) -> str:
    """As Go prints a duration: ``0s``, ``350µs``, ``12.5ms``, ``3.2s``, ``1m5s``."""
    micros = round(seconds * 1e6)
    if micros < 1000:
        return f"{micros}µs" if micros else "0s"
    if micros < 1_000_000:
        return f"{micros / 1000:.3f}".rstrip("0").rstrip(".") + "ms"
    minutes, rest = divmod(micros, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    whole = f"{rest / 1e6:.6f}".rstrip("0").rstrip(".")
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{whole}s"
