"""What goes over the wire: which action a request asks for, and answers of our own in AWS's forms."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree
from xml.sax.saxutils import escape

XMLNS = "http://ec2.amazonaws.com/doc/2016-11-15/"


@dataclass(frozen=True)
class Call:
    """A request."""

    service: str
    action: str
    parameters: Mapping[str, str]
    region: str = ""
    """As the signature names it."""

    def listed(self, name: str) -> list[str]:
        """``NAME.1``, ``NAME.2``…"""
        return [value for key, value in self.parameters.items() if key.startswith(f"{name}.") and key.count(".") == 1]

    def tags(self, kind: str) -> dict[str, str]:
        """``TagSpecification`` for things of one kind."""
        given = self.parameters
        before = [
            name.rpartition(".")[0]
            for name, value in given.items()
            if (name.startswith("TagSpecification."), value) == (True, kind)
        ]
        keys = [
            name.rpartition(".")[0]
            for name in given
            if name.startswith(tuple(f"{one}.Tag." for one in before)) and name.endswith(".Key")
        ]
        return {given[f"{key}.Key"]: given.get(f"{key}.Value", "") for key in keys}


@dataclass
class Answer:
    """A response."""

    status: str
    type: str
    body: bytes


def parse(headers: Mapping[str, Any], body: bytes) -> Call:
    """A query API's form, or a JSON API's target and document."""
    target = str(headers.get("HTTP_X_AMZ_TARGET", ""))
    scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", str(headers.get("HTTP_AUTHORIZATION", "")))
    region = scope[1] if scope else ""
    if target:
        service = "ssm" if "SSM" in target else "ec2-instance-connect"
        told = {k: str(v) for k, v in json.loads(body or b"{}").items()}
        return Call(service, target.rpartition(".")[2], told, region)
    parameters = dict(parse_qsl(body.decode(), keep_blank_values=True))
    service = "sts" if parameters.get("Version") == "2011-06-15" else "ec2"
    return Call(service, parameters.get("Action", ""), parameters, region)


def without_tags(call: Call, kind: str) -> bytes:
    """The request's form without the tags for things of one kind."""
    dropped = [key.rpartition(".")[0] + "." for key, value in call.parameters.items() if value == kind and "Tag" in key]
    return urlencode({k: v for k, v in call.parameters.items() if not k.startswith(tuple(dropped))}).encode()


def error(call: Call, code: str, message: str) -> Answer:
    """AWS's error document."""
    if call.service in ("ssm", "ec2-instance-connect"):
        body = json.dumps({"__type": code, "message": message}).encode()
        return Answer("400 Bad Request", "application/x-amz-json-1.1", body)
    text = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
        "<RequestID>1</RequestID></Response>"
    )
    status = "503 Service Unavailable" if code == "RequestLimitExceeded" else "400 Bad Request"
    return Answer(status, "text/xml", text.encode())


def document(answer: Answer) -> ElementTree.Element:
    """An EC2 answer without its namespace."""
    root = ElementTree.fromstring(answer.body)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def put_back(answer: Answer, root: ElementTree.Element) -> None:
    """Write a changed document."""
    root.set("xmlns", XMLNS)
    answer.body = ElementTree.tostring(root)
