"""Images as the Engine API shows them (API 1.47: ImageSummary, ImageInspect, HistoryResponseItem)."""

from __future__ import annotations

from typing import Any

from pymachine.engine.images.base import Image
from pymachine.engine.images.layers import LayerStore
from pymachine.engine.images.reference import parse
from pymachine.engine.images.store import Snapshot
from pymachine.engine.images.times import rfc3339, seconds_of
from pymachine.engine.storage.base import GraphDriver

_CONFIG: dict[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}


def names_of(snapshot: Snapshot, image_id: str) -> tuple[list[str], list[str]]:
    """An image's names with tags and with digests, in the form that people see."""
    tags: list[str] = []
    digests: list[str] = []
    for text in snapshot.references_of(image_id):
        reference = parse(text)
        (digests if reference.digest else tags).append(reference.familiar)
    return tags, digests


def size_of(image: Image, layers: LayerStore) -> int:
    """Bytes of its layers' files."""
    return sum(layer.size for chain in image.chain_ids if (layer := layers.get(chain)) is not None)


def labels_of(image: Image) -> dict[str, str]:
    """The labels of its configuration; empty when that is odd."""
    labels = (image.config.get("config") or {}).get("Labels")
    return labels if isinstance(labels, dict) else {}


def summary(snapshot: Snapshot, image: Image, layers: LayerStore) -> dict[str, Any]:
    """One entry of ``GET /images/json``; ``SharedSize`` is filled in by the listing when asked for."""
    tags, digests = names_of(snapshot, image.id)
    return {
        "Containers": -1,
        "Created": int(seconds_of(image.config.get("created"))),
        "Id": image.id,
        "Labels": labels_of(image) or None,
        "ParentId": snapshot.about[image.id].parent,
        "RepoDigests": digests,
        "RepoTags": tags,
        "SharedSize": -1,
        "Size": size_of(image, layers),
    }


def inspection(snapshot: Snapshot, image: Image, layers: LayerStore, driver: GraphDriver) -> dict[str, Any]:
    """``GET /images/{name}/json``."""
    config, about = image.config, snapshot.about[image.id]
    tags, digests = names_of(snapshot, image.id)
    answer: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Parent": about.parent,
        "Comment": config.get("comment") or _last_comment(config),
        "Created": config.get("created") or rfc3339(0),
        "DockerVersion": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Config": {**_CONFIG, **(config.get("config") or {})},
        # Gone from dockerd with API 1.45; docker-compose 1 cannot recreate a container without it.
        "ContainerConfig": {**_CONFIG, **(config.get("config") or {})},
        "Architecture": config.get("architecture") or "",
        "Os": config.get("os") or "linux",
        "Size": size_of(image, layers),
        "GraphDriver": {"Name": driver.name, "Data": _graph_data(image, driver)},
        "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in _layers(image, layers)]},
        "Metadata": {"LastTagTime": rfc3339(about.last_tagged)},
    }
    for key, name in (("variant", "Variant"), ("os.version", "OsVersion")):
        if config.get(key):
            answer[name] = config[key]
    return answer


def history(snapshot: Snapshot, image: Image, layers: LayerStore) -> list[dict[str, Any]]:
    """``GET /images/{name}/history``: newest first."""
    sizes = iter([layer.size for layer in _layers(image, layers)])
    entries = []
    for step in image.config.get("history") or []:
        step = step if isinstance(step, dict) else {}
        entries.append(
            {
                "Comment": step.get("comment") or "",
                "Created": int(seconds_of(step.get("created"))),
                "CreatedBy": step.get("created_by") or "",
                "Id": "<missing>",
                "Size": 0 if step.get("empty_layer") else next(sizes, 0),
                "Tags": None,
            }
        )
    entries.reverse()
    current: str = image.id
    for entry in entries:  # the images it was built from here are known by name
        if not current:
            break
        entry["Id"] = current
        entry["Tags"] = names_of(snapshot, current)[0] or None
        current = snapshot.about[current].parent if current in snapshot.about else ""
    return entries


def _last_comment(config: dict[str, Any]) -> str:
    steps = config.get("history") or []
    last = steps[-1] if steps and isinstance(steps[-1], dict) else {}
    return str(last.get("comment") or "")


def _layers(image: Image, layers: LayerStore) -> list[Any]:
    return [layer for chain in image.chain_ids if (layer := layers.get(chain)) is not None]


def _graph_data(image: Image, driver: GraphDriver) -> dict[str, str] | None:
    try:
        paths = [str(driver.layer_path(chain)) for chain in reversed(image.chain_ids)]
    except KeyError:
        return None
    if not paths or driver.name != "overlay2":
        return None
    top = paths[0].removesuffix("/diff")
    data = {"MergedDir": f"{top}/merged", "UpperDir": paths[0], "WorkDir": f"{top}/work"}
    if len(paths) > 1:
        data["LowerDir"] = ":".join(paths[1:])
    return data
