"""The command line."""


def main() -> None:
    """The ``pymachine`` command."""
    raise SystemExit("not built yet")
