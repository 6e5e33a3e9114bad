"""XML and cloud-init's files from templates: values are escaped by the engine or given as JSON, never pasted."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@functools.cache
def _environment(*, xml: bool) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("pymachine", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=xml,
        keep_trailing_newline=True,
    )
    made.filters["json"] = json.dumps  # JSON is YAML, so cloud-init reads it whatever is in the value
    return made


def xml(template: str, **values: Any) -> str:
    """``templates/libvirt/TEMPLATE.xml.j2``; every value is escaped."""
    return _environment(xml=True).get_template(f"libvirt/{template}.xml.j2").render(values)


def cloud_config(template: str, **values: Any) -> str:
    """``templates/cloudinit/TEMPLATE.j2``."""
    return _environment(xml=False).get_template(f"cloudinit/{template}.j2").render(values)
