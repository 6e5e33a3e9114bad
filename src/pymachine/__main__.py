"""``python -m pymachine``: the same program as the ``pymachine`` command."""

from pymachine.machine.cli import main

if __name__ == "__main__":
    main()
