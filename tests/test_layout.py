"""The links in src/pymachine are the import package: hold them to the directories."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "pymachine"


def test_every_part_is_linked() -> None:
    parts = {p.parent.name for p in ROOT.glob("*/__init__.py")} | {"templates"}
    links = {p.name for p in PACKAGE.iterdir() if p.is_symlink()}
    assert links == parts - {"tests", "bench"}


def test_every_link_points_at_its_directory() -> None:
    for link in PACKAGE.iterdir():
        if link.is_symlink():
            assert link.resolve() == ROOT / link.name
