"""What ``image --vm`` does: the images of virtual machines, and their copies in libvirt's storage pools."""

from __future__ import annotations

import platform
import sys

import click

from pymachine.machine.cli.formats import write_json
from pymachine.machine.cli.invocation import current


def build(name: str, *, force: bool) -> None:
    """Build one from packages."""
    from pymachine.drivers.libvirt.images.build import build as operation

    with current().progress() as report:
        operation(name, report=report.stage, force=force)


def fetch(name: str, *, checksum: str, arch: str, force: bool) -> None:
    """Fetch one, unless it is here."""
    from pymachine.drivers.libvirt.images.fetch import obtain
    from pymachine.drivers.libvirt.images.library import Library

    with current().progress() as report:
        image = obtain(
            name,
            checksum=checksum,
            architecture=arch or platform.machine(),
            report=report.stage,
            library=Library(),
            fresh=force,
        )
        report.say(f"Image {image.name or name} is here: {image.digest[:12]}, {image.size >> 20} MiB")


def ls(*, quiet: bool, as_json: bool) -> None:
    """List them."""
    from pymachine.drivers.libvirt.images.library import Library
    from pymachine.machine.output.table import table

    images = Library().images()
    if as_json:
        names = ("name", "digest", "architecture", "format", "size", "virtual_size", "source", "created")
        write_json([{name.title().replace("_", ""): getattr(image, name) for name in names} for image in images])
        return
    if quiet:
        sys.stdout.write("".join(f"{image.digest}\n" for image in images))
        return
    rows = [
        (
            image.name or "-",
            image.digest[:12],
            image.architecture,
            f"{image.size >> 20} MiB",
            f"{image.virtual_size >> 20} MiB",
            image.created,
        )
        for image in images
    ]
    sys.stdout.write(table(("NAME", "DIGEST", "ARCH", "SIZE", "DISK", "CREATED"), rows))


def remove(name: str) -> str:
    """Remove one from the library; its digest."""
    from pymachine.drivers.libvirt.images.library import Library

    return Library().remove(name).digest


def prune(uri: str, pool: str) -> None:
    """Remove those from a pool that no disk is made over."""
    from pymachine.drivers.libvirt.images.prune import prune as operation
    from pymachine.drivers.libvirt.options import Options

    removed = operation(Options(uri=uri, pool=pool))
    for name, size in removed:
        click.echo(f"Removed {name} ({size >> 20} MiB)")
    click.echo(f"Freed {sum(size for _, size in removed) >> 20} MiB in the pool {pool}")
