"""What an engine's containers hold of the host: mounts, control groups, links, rules, processes, files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.engineprocess import EngineProcess


def held(engine: EngineProcess) -> dict[str, object]:
    """All that containers of this engine may leave on the host."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    links = {path.name for path in Path("/sys/class/net").iterdir() if (path / "master").exists()}
    ours = {link for link in links if Path(f"/sys/class/net/{link}/master").resolve().name == engine.name}
    data, runtime = engine.folder / "data", engine.folder / "exec"
    return {
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(engine.folder) in line],
        "groups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{engine.name}/*/")),
        "links": ours,
        "rules": sorted(line for line in rules.splitlines() if engine.name in line and line.startswith("-A")),
        "processes": _shims(engine),
        "files": sorted(
            path.name
            for folder in ("containers", "overlay2/containers", "volumes")
            for path in (data / folder).iterdir()
        ),
        "bundles": sorted(path.name for path in (runtime / "containers").glob("*")),
        "namespaces": sorted(path.name for path in (runtime / "netns").glob("*")),
    }


def _shims(engine: EngineProcess) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == "pyengine-shim" and str(engine.folder) in str(
                (folder / "cwd").readlink()
            ):
                found.append(folder.name)
        except OSError:
            continue
    return found
