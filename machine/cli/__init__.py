"""The command line. `main` is the ``pymachine`` program; `pymachine.machine.cli.commands` lists the commands."""


def main() -> None:
    """The ``pymachine`` command."""
    import sys

    asked = sys.argv[3:4] if sys.argv[1:2] == ["-s"] else sys.argv[1:2]
    if asked == ["__complete"]:  # by a shell, at a press of a key: without the libraries that the rest needs
        from pymachine.machine.completion.answers import answer

        sys.exit(answer(sys.argv[1:]))
    from pymachine.machine.cli.app import run

    sys.exit(run(sys.argv[1:]))
