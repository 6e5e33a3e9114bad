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
OWNER = f"{CONFIG_DIR}/owner.json"
"""Whose machine the host is."""
UNREAD = f"{CONFIG_DIR}/unread"
"""``unread.STEP`` is there from before a step changes what the engine has read until it has read it again."""
ENGINE_SERVICE = "pyengine"
ENGINE_UNIT_NAME = f"{ENGINE_SERVICE}.service"
ENGINE_UNIT = f"/etc/systemd/system/{ENGINE_UNIT_NAME}"
ENGINE_SCRIPT = f"/etc/init.d/{ENGINE_SERVICE}"
"""OpenRC's."""
ENGINE_LOG = f"/var/log/{ENGINE_SERVICE}.log"
"""Where the engine writes when there is no journal."""

MANAGED_FILES = (CA, SERVER_CERT, SERVER_KEY, ENGINE_CONFIG, ENGINE_UNIT, ENGINE_SCRIPT, OWNER)
"""Files whose content facts compare."""
