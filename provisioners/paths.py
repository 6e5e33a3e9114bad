"""Where things lie on a host: one list of names, used by steps, templates and facts."""

from __future__ import annotations

ROOT = "/opt/pymachine"
RELEASES = f"{ROOT}/releases"
CURRENT = f"{ROOT}/current"
"""Link to the release in use; switching it is the upgrade."""
CONFIG_DIR = "/etc/pymachine"
ENGINE_CONFIG = f"{CONFIG_DIR}/engine.json"
TLS_DIR = f"{CONFIG_DIR}/tls"
CA = f"{TLS_DIR}/ca.pem"
SERVER_CERT = f"{TLS_DIR}/server.pem"
SERVER_KEY = f"{TLS_DIR}/server-key.pem"
ENGINE_UNIT_NAME = "pyengine.service"
ENGINE_UNIT = f"/etc/systemd/system/{ENGINE_UNIT_NAME}"

MANAGED_FILES = (CA, SERVER_CERT, SERVER_KEY, ENGINE_CONFIG, ENGINE_UNIT)
"""Files whose content facts compare."""
