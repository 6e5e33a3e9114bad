"""The flags of a connection for the docker command line."""

from __future__ import annotations

from typing import Any

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


def document(connection: Connection) -> dict[str, Any]:
    """The same for programs."""
    path = connection.cert_path
    return {
        "Host": connection.url,
        "TLSVerify": True,
        "TLSCACert": str(path / "ca.pem"),
        "TLSCert": str(path / "cert.pem"),
        "TLSKey": str(path / "key.pem"),
    }
