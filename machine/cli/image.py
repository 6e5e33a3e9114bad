"""``image``: the images of local machines."""

from __future__ import annotations

import sys

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.formats import format_option, write_json
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError

DEFAULT = "debian-12"


@click.group(context_settings=SETTINGS)
def image() -> None:
    """Build, list and remove images of local machines."""


@image.command(cls=Command, context_settings=SETTINGS)
@click.option("-f", "--force", is_flag=True, help="Build even when the image is up to date.")
@click.argument("name", default=DEFAULT, required=False)
def build(name: str, force: bool) -> None:
    """Build image NAME (debian-12)."""
    from pymachine.drivers.local.images.manage import build as operation

    with current().progress() as report:
        operation(name, report=report.stage, force=force)


@image.command(cls=Command, context_settings=SETTINGS)
@click.option("-q", "--quiet", is_flag=True, help="Print digests only.")
@format_option
def ls(quiet: bool, format_: str) -> None:
    """List images."""
    from pymachine.drivers.local import require_linux

    require_linux()  # before what only Linux can import
    from pymachine.drivers.local.images.catalog import Catalog
    from pymachine.drivers.local.layout import Layout
    from pymachine.machine.output.table import table

    images = Catalog(Layout.from_environment().images).images()
    if format_ == "json":
        names = ("names", "digest", "size", "created", "machines")
        return write_json([{name.capitalize(): getattr(image, name) for name in names} for image in images])
    if quiet:
        sys.stdout.write("".join(f"{image.digest}\n" for image in images))
        return
    rows = [
        (
            ", ".join(image.names) or "-",
            image.digest[:12],
            f"{image.size >> 20} MiB",
            image.created,
            str(len(image.machines)),
        )
        for image in images
    ]
    sys.stdout.write(table(("NAME", "DIGEST", "SIZE", "CREATED", "MACHINES"), rows))


@image.command(cls=Command, context_settings=SETTINGS)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def rm(names: tuple[str, ...]) -> None:
    """Remove images, by name or digest."""
    from pymachine.drivers.local.images.manage import remove
    from pymachine.machine.machine import Several

    errors: list[MachineError] = []
    for name in names:
        try:
            click.echo(f"Removed {remove(name)}")
        except MachineError as error:
            errors.append(error)
    if errors:
        raise Several(errors)
