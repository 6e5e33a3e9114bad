"""Images with owners, dates, states and deprecation, which moto's calls cannot give.

Source: EC2 API reference, DescribeImages: deprecated images are told to their owner alone, unless IncludeDeprecated.
"""

from __future__ import annotations

import datetime
from typing import Any

from support.ec2 import moto_side, wire
from support.ec2.wire import Answer, Call

_deprecated: dict[str, str] = {}


def change(wanted: list[dict[str, str]]) -> None:
    """Make images, named by ``id``, somebody's (``owner``), of a ``date``, in a ``state``, of a ``platform`` or
    ``architecture``, ``deprecated`` since."""
    for item in wanted:
        image = next(one for backend in moto_side.backends() for one in backend.amis.values() if one.id == item["id"])
        image.owner_id = item.get("owner", image.owner_id)
        image.state = item.get("state", image.state)
        image.platform = item.get("platform", image.platform)
        image.architecture = item.get("architecture", image.architecture)
        if "date" in item:
            image.creation_date = datetime.datetime.fromisoformat(item["date"])
        if "deprecated" in item:
            _deprecated[item["id"]] = item["deprecated"]


def described(call: Call, answer: Answer) -> None:
    """Tell of deprecation in an answer, or leave out what is deprecated."""
    if not _deprecated or not answer.status.startswith("200"):
        return
    root = wire.document(answer)
    now = datetime.datetime.now(datetime.UTC).isoformat()
    for images in root.iterfind("imagesSet"):
        for item in list(images):
            since = _deprecated.get(item.findtext("imageId", ""), "")
            if not since:
                continue
            own = item.findtext("imageOwnerId") == moto_side.ACCOUNT
            if since <= now and not own and call.parameters.get("IncludeDeprecated") != "true":
                images.remove(item)
            else:
                _element(item, "deprecationTime", since)
    wire.put_back(answer, root)


def reset() -> None:
    """A new account."""
    _deprecated.clear()


def _element(parent: Any, tag: str, text: str) -> None:
    from xml.etree import ElementTree

    ElementTree.SubElement(parent, tag).text = text
