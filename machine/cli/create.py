"""``create``: docker-machine's flags, and those of the chosen driver."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from pymachine.machine.certs.keytype import DEFAULT, KEY_TYPES
from pymachine.machine.cli.command import SETTINGS, Command, Decorated, timeout_option
from pymachine.machine.cli.driverflags import DEFAULT_DRIVER, chosen_driver, flags, given
from pymachine.machine.cli.errors import Interrupted
from pymachine.machine.cli.invocation import Invocation, current
from pymachine.machine.config import SWARM_NOTICE, EngineOptions, SwarmOptions
from pymachine.machine.errors import InvalidOption, MachineError, UsageError
from pymachine.machine.events import relay
from pymachine.machine.fleetclient import MAX_PARALLEL

if TYPE_CHECKING:
    from pymachine.machine.operations.create import Request

TIMEOUT = 600.0


class CreateCommand(Command):
    """A command whose flags depend on the driver that its arguments name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take in the driver's flags, then parse."""
        driver = chosen_driver(args, os.environ)
        common = [param for param in self.params if isinstance(param, click.Argument) or _is_common(param)]
        self.params = sorted(common + flags(driver), key=_order)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise UsageError(
                error.format_message(),
                hint=f'Driver "{driver}" has no such flag; another driver is chosen by -d. '
                f"See '{ctx.command_path} -d {driver} --help'.",
            ) from error


def _is_common(param: click.Parameter) -> bool:
    return not (param.name or "").startswith("driver_option_")


def _order(param: click.Parameter) -> tuple[bool, str]:
    return isinstance(param, click.Argument), max(param.opts, key=len)


def _many(flag: str, name: str, metavar: str, text: str) -> Callable[[Decorated], Decorated]:
    return click.option(flag, name, multiple=True, metavar=metavar, help=text)


@click.command(cls=CreateCommand, context_settings=SETTINGS)
@click.option(
    "-d", "--driver", metavar="DRIVER", help=f"What makes the host. [default: {DEFAULT_DRIVER}] [$MACHINE_DRIVER]"
)
@timeout_option("--timeout", default=TIMEOUT, text="The most that it may take in all.")
@_many("--tls-san", "tls_san", "NAME", "Another name or address for the engine's certificate; may be repeated.")
@click.option(
    "--tls-key-type",
    default="",
    metavar="KIND",
    help=f"Keys of the machine's certificates: {', '.join(KEY_TYPES)}. [default: {DEFAULT}] [$MACHINE_TLS_KEY_TYPE]",
)
@_many("--engine-opt", "engine_opt", "KEY[=VALUE]", "Set a key of the engine's configuration; may be repeated.")
@_many("--engine-label", "engine_label", "KEY=VALUE", "Label the engine; may be repeated.")
@_many("--engine-env", "engine_env", "NAME=VALUE", "A variable for the engine's environment; may be repeated.")
@_many("--engine-insecure-registry", "engine_insecure_registry", "REGISTRY", "Allow plain HTTP; may be repeated.")
@_many(
    "--engine-registry-mirror", "engine_registry_mirror", "URL", "A mirror; may be repeated. [$ENGINE_REGISTRY_MIRROR]"
)
@click.option("--engine-storage-driver", default="", metavar="NAME", help="The engine's storage driver.")
@click.option(
    "--engine-install-url",
    default="",
    metavar="URL",
    help="Has no effect: the engine comes with pymachine. [$MACHINE_DOCKER_INSTALL_URL]",
)
@click.option("--swarm", is_flag=True, help="Join the machine to a cluster.")
@click.option("--swarm-master", is_flag=True, help="Run the cluster's manager on the machine.")
@click.option("--swarm-image", default="", metavar="IMAGE", help="Recorded only. [$MACHINE_SWARM_IMAGE]")
@click.option("--swarm-discovery", default="", metavar="URL", help="Where the cluster's nodes find each other.")
@click.option("--swarm-strategy", default="spread", show_default=True, metavar="NAME", help="Scheduling.")
@_many("--swarm-opt", "swarm_opt", "KEY[=VALUE]", "A flag for the manager; may be repeated.")
@_many("--swarm-join-opt", "swarm_join_opt", "KEY[=VALUE]", "A flag for the node's agent; may be repeated.")
@click.option(
    "--swarm-host", default="tcp://0.0.0.0:3376", show_default=True, metavar="URL", help="The manager's address."
)
@click.option("--swarm-addr", default="", metavar="ADDRESS", help="The address to advertise.")
@click.option("--swarm-experimental", is_flag=True, help="Recorded only.")
@click.option(
    "--ttl",
    default="",
    metavar="SPAN",
    help="Remove the machine by itself after 45m, 2h30m, 7d…, whoever is there then.",
)
@click.option("-n", "--number", type=click.IntRange(1, 1000), metavar="N", help="Make N machines: NAME-1 to NAME-N.")
@click.option(
    "--max-parallel",
    type=click.IntRange(1, 100),
    default=MAX_PARALLEL,
    metavar="K",
    help=f"Make at most K machines at a time. [default: {MAX_PARALLEL}]",
)
@click.argument("names", nargs=-1, metavar="NAME")
@click.pass_context
def create(ctx: click.Context, /, names: tuple[str, ...], **_: Any) -> None:
    """Create a machine: a host, with an engine that docker can talk to.

    Flags of the drivers: pymachine create -d DRIVER --help
    """
    if not names:
        click.echo(ctx.get_help())
        raise MachineError("Error: No machine name specified")
    if len(names) > 1:
        raise MachineError(f"Invalid command line. Found extra arguments [{' '.join(names[1:])}]")
    _create(ctx, current(), names[0])


def _create(ctx: click.Context, invocation: Invocation, name: str) -> None:
    from pymachine.machine.certs.provided import Provided, take_in
    from pymachine.machine.operations import create as operation

    params, environ = ctx.params, invocation.environ
    request = operation.Request(
        name=name,
        driver=params["driver"] or chosen_driver((), environ),
        options=given(ctx),
        environ=environ,
        engine=_engine(params, environ),
        swarm=_swarm(params, environ),
        tls_san=params["tls_san"],
        key_type=params["tls_key_type"] or environ.get("MACHINE_TLS_KEY_TYPE", ""),
        timeout=params["timeout"],
        ttl=_ttl(params["ttl"]),
    )
    if params["number"]:
        return _create_many(invocation, request, params["number"], params["max_parallel"])
    try:
        with invocation.progress() as report:
            if request.swarm.wanted:
                report.warn(SWARM_NOTICE)
            take_in(invocation.store, Provided.of(invocation.tls_flags, environ), report.say)
            invocation.client.create_as(request, on_event=relay(report))
            report.say(
                "To see how to connect your Docker Client to the Docker Engine running on this virtual machine, "
                f"run: pymachine env {name}"
            )
    except KeyboardInterrupt:
        raise Interrupted(_after_interrupt(invocation, name)) from None


def _create_many(invocation: Invocation, request: Request, number: int, most: int) -> None:
    from pymachine.machine.certs.provided import Provided, take_in
    from pymachine.machine.operations.many import numbered
    from pymachine.machine.operations.prefixed import prefixing

    with invocation.progress(live=False) as report:
        if request.swarm.wanted:
            report.warn(SWARM_NOTICE)
        take_in(invocation.store, Provided.of(invocation.tls_flags, invocation.environ), report.say)
        try:
            invocation.client.create_many(numbered(request, number), most=most, on_event=prefixing(report))
        except KeyboardInterrupt:
            raise Interrupted(
                "Interrupted: run the same create again to go on with those that are not finished, or remove them: "
                f"pymachine rm {request.name}-…"
            ) from None
        report.say(f"To see how to connect your Docker Client to one of them, run: pymachine env {request.name}-1")


def _ttl(text: str) -> float:
    from pymachine.machine.lifetime.duration import parse_span

    try:
        return parse_span(text) if text else 0
    except InvalidOption as error:
        raise InvalidOption(f"--ttl: {error}") from error


def _after_interrupt(invocation: Invocation, name: str) -> str:
    if name not in invocation.store.names():
        return "Interrupted: nothing was made"
    return f'Interrupted: run the same create again to go on, or "pymachine rm {name}" to remove what was made'


def _engine(params: Mapping[str, Any], environ: Mapping[str, str]) -> EngineOptions:
    mirrors = params["engine_registry_mirror"] or _split(environ.get("ENGINE_REGISTRY_MIRROR", ""))
    return EngineOptions(
        opts=params["engine_opt"],
        labels=params["engine_label"],
        env=params["engine_env"],
        insecure_registries=params["engine_insecure_registry"],
        registry_mirrors=mirrors,
        storage_driver=params["engine_storage_driver"],
        install_url=params["engine_install_url"] or environ.get("MACHINE_DOCKER_INSTALL_URL", ""),
    )


def _swarm(params: Mapping[str, Any], environ: Mapping[str, str]) -> SwarmOptions:
    return SwarmOptions(
        agent=params["swarm"],
        master=params["swarm_master"],
        image=params["swarm_image"] or environ.get("MACHINE_SWARM_IMAGE") or "swarm:latest",
        discovery=params["swarm_discovery"],
        strategy=params["swarm_strategy"],
        opts=params["swarm_opt"],
        join_opts=params["swarm_join_opt"],
        host=params["swarm_host"],
        addr=params["swarm_addr"],
        experimental=params["swarm_experimental"],
    )


def _split(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(",") if item.strip())
