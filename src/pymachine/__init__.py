"""pymachine: make container hosts anywhere, and run them.

Every folder at the top of the repository (``machine/``, ``drivers/``, ``engine/``, …) is a subpackage
``pymachine.<folder>``: this directory holds one symbolic link for each of them, so that standard tools
find ``pymachine.drivers.local`` without configuration and a wheel carries plain files.
Import through the package (``from pymachine.drivers.base import Driver``), never by the folder's name.
"""

__version__ = "0.1.0"
