"""Cloud-init's own view of user data: what it merges, whether its schema takes that, and what it would run.

Run as a program by `read`, with the modules of Debian's package (`scripts/setup`), for they are no package of PyPI.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).resolve().parents[2] / ".cache" / "tools"
PACKAGES = ("cloud-init", "python3-configobj", "python3-six")


def read(user_data: str, place: Path) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The cloud-config that cloud-init makes of all parts, and the other parts by type. It must be valid."""
    path = place / "user-data"
    path.write_text(user_data, encoding="utf-8")
    found = [str(TOOLS / name / "usr/lib/python3/dist-packages") for name in PACKAGES]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
    done = subprocess.run(
        [sys.executable, "-P", __file__, str(path), str(place)], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    config, others = json.loads(done.stdout)
    return config, [(kind, text) for kind, text in others]


def _main(path: Path, place: Path) -> None:
    from types import SimpleNamespace

    from cloudinit import helpers, util  # type: ignore[import-not-found]
    from cloudinit.config.schema import (  # type: ignore[import-not-found]
        get_schema,
        validate_cloudconfig_schema,
    )
    from cloudinit.handlers.cloud_config import CloudConfigPartHandler  # type: ignore[import-not-found]
    from cloudinit.user_data import UserDataProcessor  # type: ignore[import-not-found]

    paths = helpers.Paths({"cloud_dir": str(place), "run_dir": str(place)})
    paths.datasource = SimpleNamespace(get_instance_id=lambda: "i")
    handler, others = CloudConfigPartHandler(paths), []
    handler.handle_part(None, "__begin__", None, None, None, {})
    for part in UserDataProcessor(paths).process(path.read_bytes()).walk():
        kind = part.get_content_type()
        payload = None if part.is_multipart() else util.fully_decoded_payload(part)
        if kind == "text/cloud-config":
            handler.handle_part(None, kind, part.get_filename(), payload, None, dict(part))
        elif payload is not None:
            others.append((kind, payload))
    handler.handle_part(None, "__end__", None, None, None, {})
    config = util.load_yaml(Path(paths.get_ipath("cloud_config")).read_text())
    validate_cloudconfig_schema(config, get_schema(), strict=True)
    print(json.dumps([config, others]))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
