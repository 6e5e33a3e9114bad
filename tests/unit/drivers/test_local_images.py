"""Images: found, pinned, removed, and known by what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pymachine.drivers.local import host, jsonfile
from pymachine.drivers.local.images import build as builder
from pymachine.drivers.local.images import recipe as recipes
from pymachine.drivers.local.images.catalog import ESSENTIAL, Catalog
from pymachine.drivers.local.images.digest import tree_digest
from pymachine.drivers.local.images.recipe import Recipe
from pymachine.drivers.local.layout import Layout
from pymachine.machine.errors import DriverError, InvalidOption, MissingRequirement

RECIPE = Recipe("bookworm", packages=("a",))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    (tmp_path / "images").mkdir()
    return Catalog(tmp_path / "images")


def add(catalog: Catalog, digest: str, name: str = "debian-12") -> None:
    """An image as a build leaves it, without its files."""
    place = catalog.root / ".building-x"
    for path in ESSENTIAL:
        (place / "rootfs" / path).parent.mkdir(parents=True, exist_ok=True)
        (place / "rootfs" / path).touch()
    value = {
        "name": name,
        "size": 5 << 20,
        "created": f"2026-01-0{digest[0]}",
        "packages": 3,
        "recipe": RECIPE.digest(),
    }
    jsonfile.write(place / "image.json", value)
    catalog.add(place, digest * 64, name)


def test_no_images_and_nothing_made(tmp_path: Path) -> None:
    """Looking does not make the folder."""
    catalog = Catalog(tmp_path / "none")
    assert catalog.images() == []
    assert catalog.find("debian-12") is None
    assert not (tmp_path / "none").exists()


def test_found_by_name_and_by_digest(catalog: Catalog) -> None:
    """The name is at its newest image; parts of a digest do if they fit one."""
    add(catalog, "1")
    add(catalog, "2")
    assert [image.digest[0] for image in catalog.images()] == ["2", "1"]
    found = [catalog.find(text) for text in ("debian-12", "1111", "sha256:11111", "111", "3333", "")]
    assert [image and image.digest[0] for image in found] == ["2", "1", "1", None, None, None]


def test_a_digest_that_fits_two(catalog: Catalog) -> None:
    """Is not guessed."""
    add(catalog, "1")
    os.rename(catalog.root / ("1" * 64), catalog.root / ("1" * 63 + "2"))
    add(catalog, "1")
    with pytest.raises(DriverError, match="fits 2 images"):
        catalog.find("1111")


def test_an_image_in_use_is_not_removed(catalog: Catalog, tmp_path: Path) -> None:
    """The machine is named; once it is gone, even by hand, the image can go."""
    add(catalog, "1")
    machine = tmp_path / "machine"
    machine.mkdir()
    jsonfile.write(machine / "machine.json", {"name": "build-box"})
    catalog.pin("debian-12", "some-id", machine)
    with pytest.raises(DriverError, match="used by build-box"):
        catalog.remove("debian-12")
    (machine / "machine.json").unlink()
    machine.rmdir()
    catalog.remove("debian-12")
    assert catalog.images() == []
    assert [name for name in os.listdir(catalog.root) if not name.endswith("lock")] == ["names"]
    assert os.listdir(catalog.names_dir) == []


def test_unpin(catalog: Catalog, tmp_path: Path) -> None:
    """A removed machine frees its image; once more is fine."""
    add(catalog, "1")
    catalog.pin("1111", "some-id", tmp_path)
    catalog.unpin("some-id")
    catalog.unpin("some-id")
    assert catalog.images()[0].machines == ()


def test_remove_what_is_not_there(catalog: Catalog, tmp_path: Path) -> None:
    """Is said in one line."""
    for empty in (catalog, Catalog(tmp_path / "none")):
        with pytest.raises(DriverError, match='there is no image "x"'):
            empty.remove("x")


def test_half_removed_images_are_swept(catalog: Catalog) -> None:
    """By the next removal; half-built ones are left to the builder that may be at work."""
    add(catalog, "1")
    for name in (".removing-x", ".building-y"):
        (catalog.root / name / "rootfs").mkdir(parents=True)
    catalog.remove("debian-12")
    assert not (catalog.root / ".removing-x").exists()
    assert (catalog.root / ".building-y").exists()


def test_damage_is_seen(catalog: Catalog) -> None:
    """A lost file of the system, or of ours."""
    add(catalog, "1")
    image = catalog.images()[0]
    assert catalog.damage(image) == ""
    (image.rootfs / "usr/sbin/sshd").unlink()
    assert catalog.damage(image) == "usr/sbin/sshd is missing"
    (image.directory / "image.json").write_text("{")
    assert "image.json" in catalog.damage(image)
    assert catalog.images()[0].size == 0


def test_same_recipe_builds_nothing(catalog: Catalog, tmp_path: Path) -> None:
    """An image that is there from the same recipe is returned, without any program."""
    add(catalog, "1")
    said: list[str] = []
    layout = Layout(tmp_path, catalog.root)
    image = builder.build("debian-12", report=said.append, layout=layout, recipe=RECIPE)
    assert image.digest == "1" * 64
    assert "up to date" in said[0]


def test_unknown_recipe() -> None:
    """Known ones are named."""
    with pytest.raises(InvalidOption, match=r"known: .*debian-12"):
        builder.build("debian-99", report=print)


def test_no_mmdebstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that installs it is the hint, and nothing was made."""
    monkeypatch.setattr(host, "find", lambda program: None)
    with pytest.raises(MissingRequirement, match="mmdebstrap is not installed") as caught:
        builder.build(report=print, layout=Layout(tmp_path, tmp_path / "images"))
    assert "apt-get install -y --no-install-recommends mmdebstrap" in caught.value.hint
    assert os.listdir(tmp_path) == []


def test_a_remedy_names_the_image_that_is_missing() -> None:
    """The default one needs no name; what has no recipe cannot be built."""
    assert recipes.how_to_get("debian-12") == "run: pymachine image build"
    assert recipes.how_to_get("debian-13", anew=True) == "run: pymachine image build --force debian-13"
    assert recipes.how_to_get("nope") == (
        "see: pymachine image ls; images that can be built: debian-11, debian-12, debian-13"
    )


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """Is told, with its name."""
    (tmp_path / "file").touch()
    with pytest.raises(DriverError, match="cannot look for images in .*file: Not a directory"):
        Catalog(tmp_path / "file").images()


def test_recipes_differ_in_their_digest() -> None:
    """Every field counts."""
    ours = recipes.find("debian-12")
    others = [
        Recipe("trixie"),
        Recipe("bookworm", packages=()),
        Recipe("bookworm", masked=()),
        Recipe("bookworm", layout=2),
    ]
    assert len({recipe.digest() for recipe in (ours, *others)}) == 5
    assert Recipe("bookworm", packages=recipes.HOST_PACKAGES).digest() == ours.digest()


def test_tree_digest_sees_all_but_times(tmp_path: Path) -> None:
    """Names, contents, modes and link targets change it; times do not."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_text("text")
    (tmp_path / "link").symlink_to("d")
    digest, size = tree_digest(tmp_path)
    os.utime(tmp_path / "d/file", (1, 1))
    assert (tree_digest(tmp_path), size) == ((digest, 4), 4)
    seen = {digest}

    def relink() -> None:
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to("e")

    changes: list[Callable[[], object]] = [
        lambda: (tmp_path / "d/file").write_text("TEXT"),
        lambda: (tmp_path / "d/file").chmod(0o600),
        lambda: (tmp_path / "d/file").rename(tmp_path / "d/other"),
        relink,
    ]
    for change in changes:
        change()
        seen.add(tree_digest(tmp_path)[0])
    assert len(seen) == 5
