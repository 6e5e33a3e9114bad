"""A machine for as long as a block runs, as tests want it; it goes by itself if this program is killed."""

from collections.abc import Iterator
from contextlib import contextmanager

from pymachine import Client, Machine


@contextmanager
def throwaway(client: Client, name: str) -> Iterator[Machine]:
    """A machine that is removed at the end, and after an hour in any case."""
    machine = client.create(name, "local", ttl=3600)
    try:
        yield machine
    finally:
        client.remove(machine)


def main() -> None:
    """Ask one what it is."""
    client = Client()
    with throwaway(client, "throwaway") as machine:
        print(client.run(machine, ". /etc/os-release; echo $PRETTY_NAME").stdout.strip())


if __name__ == "__main__":
    main()
