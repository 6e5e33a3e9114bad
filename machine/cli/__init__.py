"""The command line. `main` is the ``pymachine`` program; `pymachine.machine.cli.commands` lists the commands."""


def main() -> None:
    """The ``pymachine`` command."""
    import sys

    from pymachine.machine.cli.app import run

    sys.exit(run(sys.argv[1:]))
