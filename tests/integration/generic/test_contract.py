"""The generic driver keeps the contract of all drivers: against a real SSH server, for it makes no hosts itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymachine.drivers.base import Context, Driver
from pymachine.drivers.generic import GenericDriver
from pymachine.drivers.generic.options import Options
from pymachine.drivers.testing import DriverContract
from support.sshd import SSHServer, ssh_server

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One server for all tests: the driver never changes it."""
    with ssh_server(tmp_path_factory.mktemp("sshd")) as TestGenericDriver.server:
        yield


class TestGenericDriver(DriverContract):
    server: SSHServer

    def new_driver(self, context: Context) -> Driver:
        config = self.server.directory / "no_config"
        config.touch()
        key = str(self.server.directory / "id_client")
        options = Options("127.0.0.1", ssh_key=key, ssh_port=self.server.port, ssh_config=str(config))
        return GenericDriver(options, context)

    def leftovers(self, driver: Driver) -> list[str]:
        """The key stays until the machine's directory goes; nothing else is anywhere."""
        known = {"id_client", "id_client.pub", "known_hosts"}
        return [str(path) for path in Path(driver.context.directory).iterdir() if path.name not in known]
