"""The flags of a connection for the docker command line."""

from __future__ import annotations

from pymachine.machine.bundle.connection import Connection


def flags(connection: Connection) -> str:
    """Five lines, for ``docker $(pymachine config NAME) …``.

    The quotes are docker-machine's: docker strips them, and scripts expect them.
    """
    path = connection.cert_path
    return "\n".join(
        [
            "--tlsverify",
            f'--tlscacert="{path / "ca.pem"}"',
            f'--tlscert="{path / "cert.pem"}"',
            f'--tlskey="{path / "key.pem"}"',
            f"-H={connection.url}",
        ]
    )
