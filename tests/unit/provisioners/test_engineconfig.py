"""``--engine-*`` options become the keys that the engine's configuration file knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymachine.machine.config import EngineOptions
from pymachine.machine.errors import InvalidOption
from pymachine.provisioners.base import ProvisionPlan, TLSFiles
from pymachine.provisioners.engineconfig import engine_config
from pymachine.provisioners.templating import systemd_quote


def _plan(engine: EngineOptions) -> ProvisionPlan:
    nowhere = Path("/nowhere")
    return ProvisionPlan("m", "local", engine, TLSFiles(nowhere, nowhere, nowhere))


def test_every_engine_flag_reaches_the_file() -> None:
    config = engine_config(
        _plan(
            EngineOptions(
                opts=("debug", "mtu=1400", "log-opt=max-size=10m", "dns=10.0.0.1", "--default-ulimit=nofile=64:64"),
                labels=("a=b",),
                insecure_registries=("reg:5000",),
                registry_mirrors=("https://mirror",),
                storage_driver="vfs",
            )
        )
    )

    assert config["debug"] is True
    assert config["mtu"] == 1400
    assert config["log-opts"] == {"max-size": "10m"}
    assert config["dns"] == ["10.0.0.1"]
    assert config["default-ulimits"] == ["nofile=64:64"]
    assert config["labels"] == ["a=b", "provider=local"]
    assert config["insecure-registries"] == ["reg:5000"]
    assert config["registry-mirrors"] == ["https://mirror"]
    assert config["storage-driver"] == "vfs"
    assert config["tlsverify"] is True


def test_an_option_that_would_undo_tls_is_refused_by_name() -> None:
    with pytest.raises(InvalidOption, match="'tlsverify=false': pymachine itself sets tlsverify"):
        engine_config(_plan(EngineOptions(opts=("tlsverify=false",))))


@pytest.mark.parametrize(
    ("value", "quoted"),
    [("A=b", '"A=b"'), ('A="x y"', '"A=\\"x y\\""'), ("A=100%", '"A=100%%"'), ("A=\\n", '"A=\\\\n"')],
)
def test_environment_values_survive_the_unit_file(value: str, quoted: str) -> None:
    assert systemd_quote(value) == quoted


def test_a_control_character_in_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="control character"):
        systemd_quote("A=b\nExecStart=/bin/evil")
