"""Two machines made at the same time, with the progress of both; a container on each; then both are removed."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import docker

from pymachine import Client, MachineError, Stage
from pymachine.machine.events import Event

NAMES = ("one", "two")


def show(event: Event) -> None:
    """The stages are enough."""
    if isinstance(event, Stage):
        print(f"{event.machine}: {event.text}", flush=True)


def containers(client: Client, name: str) -> int:
    """How many containers a machine has."""
    engine = docker.DockerClient(**client.docker_client_kwargs(name))
    try:
        return len(engine.containers.list(all=True))
    finally:
        engine.close()


def main() -> None:
    """Make, use, remove."""
    client = Client()
    try:
        with ThreadPoolExecutor() as pool:
            for machine in pool.map(lambda name: client.create(name, "local", on_event=show), NAMES):
                print(f"{machine.name} is at {machine.address()} with {containers(client, machine.name)} containers")
    finally:
        for name in NAMES:
            with contextlib.suppress(MachineError):
                client.remove(name)


if __name__ == "__main__":
    main()
