"""``make bench``, or ``python -m bench [aws|engine|create|ls]``: needs root and ``scripts/setup --bench``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

from bench import aws, create, engine, libvirt, ls  # noqa: E402

GROUPS = {"aws": aws.main, "engine": engine.main, "create": create.main, "ls": ls.main, "libvirt": libvirt.main}


def main(names: list[str]) -> None:
    """Run the named groups, or all."""
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        raise SystemExit(f"bench: no group {unknown[0]}; there are: {', '.join(GROUPS)}")
    for name in names or GROUPS:
        GROUPS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
