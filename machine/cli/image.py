"""``image``: the images of local machines, and with ``--vm`` those of virtual machines."""

from __future__ import annotations

import sys

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.cli.formats import format_option, write_json
from pymachine.machine.cli.invocation import current
from pymachine.machine.errors import MachineError

DEFAULT = "debian-12"
VM = click.option("--vm", is_flag=True, help="Of virtual machines (driver libvirt).")


@click.group(context_settings=SETTINGS)
def image() -> None:
    """Build, fetch, list and remove images of local machines and of virtual machines."""


@image.command(cls=Command, context_settings=SETTINGS)
@click.option("-f", "--force", is_flag=True, help="Build even when the image is up to date.")
@VM
@click.argument("name", default=DEFAULT, required=False)
def build(name: str, force: bool, vm: bool) -> None:
    """Build image NAME (debian-12); one of virtual machines is called NAME-built."""
    if vm:
        from pymachine.machine.cli import vmimage

        vmimage.build(name, force=force)
        return
    from pymachine.drivers.local.images.manage import build as operation

    with current().progress() as report:
        operation(name, report=report.stage, force=force)


@image.command(cls=Command, context_settings=SETTINGS)
@click.option("-q", "--quiet", is_flag=True, help="Print digests only.")
@format_option
@VM
def ls(quiet: bool, format_: str, vm: bool) -> None:
    """List images."""
    if vm:
        from pymachine.machine.cli import vmimage

        vmimage.ls(quiet=quiet, as_json=format_ == "json")
        return None
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
@VM
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def rm(names: tuple[str, ...], vm: bool) -> None:
    """Remove images, by name or digest."""
    if vm:
        from pymachine.machine.cli.vmimage import remove
    else:
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


@image.command(cls=Command, context_settings=SETTINGS)
@click.option("--checksum", default="", metavar="DIGEST", help="sha256:… or sha512:…, which a URL must have.")
@click.option("--arch", default="", metavar="NAME", help="The architecture. [default: this computer's]")
@click.option("-f", "--force", is_flag=True, help="Fetch even when there is one of that name.")
@click.argument("name", metavar="NAME|URL|FILE")
def fetch(name: str, checksum: str, arch: str, force: bool) -> None:
    """Fetch an image of virtual machines: an official one by short name, or any by URL or file."""
    from pymachine.machine.cli import vmimage

    vmimage.fetch(name, checksum=checksum, arch=arch, force=force)


@image.command(cls=Command, context_settings=SETTINGS)
@click.option("--uri", default="qemu:///system", show_default=True, metavar="URI", envvar="LIBVIRT_DEFAULT_URI")
@click.option("--pool", default="default", show_default=True, metavar="NAME", help="The storage pool.")
def prune(uri: str, pool: str) -> None:
    """Remove images from a libvirt storage pool that no machine uses."""
    from pymachine.machine.cli import vmimage

    vmimage.prune(uri, pool)
