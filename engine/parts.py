"""What of the configuration each service is given, in the form it wants."""

from __future__ import annotations

from pymachine.engine.config import EngineConfig
from pymachine.engine.containers.options import Options
from pymachine.engine.images.registry.endpoints import Registries
from pymachine.engine.network.config import DEFAULT_POOLS, NetworkConfig


def container_options(config: EngineConfig) -> Options:
    """For the container service."""
    return Options(
        data_root=config.data_root,
        exec_root=config.exec_root,
        cgroup_parent=config.cgroup_parent or "pyengine",
        log_driver=config.log_driver,
        log_options=dict(config.log_opts),
        ulimits={limit.name: (limit.soft, limit.hard) for limit in config.default_ulimits},
        init=config.init,
        dns=config.dns,
        dns_search=config.dns_search,
        dns_options=config.dns_opts,
        shutdown_timeout=config.shutdown_timeout,
    )


def network_config(config: EngineConfig) -> NetworkConfig:
    """For the network controller."""
    pools = tuple((pool.base, pool.size) for pool in config.default_address_pools)
    return NetworkConfig(
        bridge=config.bridge,
        bip=config.bip,
        fixed_cidr=config.fixed_cidr,
        mtu=config.mtu,
        iptables=config.iptables,
        ip_forward=config.ip_forward,
        userland_proxy=config.userland_proxy,
        dns=config.dns,
        dns_search=config.dns_search,
        dns_opts=config.dns_opts,
        default_address_pools=pools or DEFAULT_POOLS,
        default_bind_ip=config.ip,
    )


def registries(config: EngineConfig) -> Registries:
    """For pulling, pushing and logging in."""
    return Registries(insecure=config.insecure_registries, mirrors=config.registry_mirrors)
