"""The amazonec2 driver's options, by docker-machine's names where those still make sense.

None is a secret: credentials are boto3's own business, and the record holds names of profile and role only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pymachine.drivers.amazonec2 import catalogue
from pymachine.drivers.amazonec2.values import Port, Volume, parse_port, parse_tags, parse_volume
from pymachine.drivers.options import option
from pymachine.machine.errors import InvalidOption

DEFAULT_REGION = "us-east-1"
INTERRUPTIONS = ("terminate", "stop", "hibernate")
TENANCIES = ("", "default", "dedicated", "host")
CREDITS = ("", "standard", "unlimited")
_TYPE = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")


@dataclass(frozen=True)
class Options:
    """How an EC2 instance is made."""

    profile: str = option("", "profile of ~/.aws/config; boto3's own choice if empty", env="AWS_PROFILE")
    role: str = option("", "ARN of a role to assume, from whatever identity is found", env="AWS_ROLE_ARN_TO_ASSUME")
    region: str = option("", f"region; the profile's, else {DEFAULT_REGION}", env="AWS_DEFAULT_REGION")
    endpoint: str = option("", "URL of another endpoint for the AWS APIs", env="AWS_ENDPOINT", metavar="URL")
    distribution: str = option(
        "ubuntu-24.04", f"what to install: {', '.join(catalogue.names())}", env="AWS_DISTRIBUTION", metavar="NAME"
    )
    ami: str = option("", "machine image; the distribution's newest if empty", env="AWS_AMI", metavar="ID")
    instance_type: str = option("t3.micro", "instance type", env="AWS_INSTANCE_TYPE", metavar="TYPE")
    fallback_type: tuple[str, ...] = option(
        (), "instance type to take when there is no capacity for the others", env="AWS_FALLBACK_TYPE", metavar="TYPE"
    )
    zone: str = option("", "zone, by letter or name; any with capacity if empty", env="AWS_ZONE")
    vpc_id: str = option("", "VPC; the default one if empty", env="AWS_VPC_ID", metavar="ID")
    subnet_id: str = option("", "subnet; found in the VPC if empty", env="AWS_SUBNET_ID", metavar="ID")
    private_address_only: bool = option(False, "give the instance no public address", env="AWS_PRIVATE_ADDRESS_ONLY")
    use_private_address: bool = option(
        False, "reach the instance by its private address", env="AWS_USE_PRIVATE_ADDRESS"
    )
    ipv6: bool = option(False, "reach the instance by IPv6", env="AWS_IPV6")
    elastic_ip: bool = option(False, "give the instance an Elastic IP, which stays with it", env="AWS_ELASTIC_IP")
    security_group: tuple[str, ...] = option(
        (), "security group, by name or id, used as it is; one is made if none is given", env="AWS_SECURITY_GROUP"
    )
    security_group_readonly: bool = option(
        False,
        "for docker-machine's scripts: groups that are given are never changed",
        env="AWS_SECURITY_GROUP_READONLY",
    )
    open_port: tuple[str, ...] = option((), "further port to open in the group that is made", metavar="PORT[/PROTOCOL]")
    allow_from: tuple[str, ...] = option(
        (), "network that may reach the open ports; this computer's address if none", env="AWS_ALLOW_FROM",
        metavar="CIDR",
    )  # fmt: skip
    address_service: str = option(
        "https://checkip.amazonaws.com", "URL that answers with this computer's public address", env="AWS_CHECKIP",
        metavar="URL",
    )  # fmt: skip
    tags: tuple[str, ...] = option((), "tags: KEY=VALUE, or KEY,VALUE,KEY,VALUE", env="AWS_TAGS")
    root_size: int = option(16, "size of the root volume in GB", env="AWS_ROOT_SIZE")
    volume_type: str = option("gp3", "type of the root volume", env="AWS_VOLUME_TYPE")
    device_name: str = option("", "name of the root device; the image's if empty", env="AWS_DEVICE_NAME")
    kms_key: str = option("", "KMS key of the volumes; the account's default if empty", env="AWS_KMS_KEY")
    volume: tuple[str, ...] = option(
        (), "further volume, in GB", env="AWS_VOLUME", metavar="SIZE[,type=T][,iops=N][,device=NAME][,keep]"
    )
    iam_instance_profile: str = option("", "instance profile, by name or ARN", env="AWS_INSTANCE_PROFILE")
    keypair_name: str = option("", "key pair of your own; needs --amazonec2-ssh-keypath", env="AWS_KEYPAIR_NAME")
    ssh_keypath: str = option("", "private key to use; made if empty", env="AWS_SSH_KEYPATH", metavar="FILE")
    ssh_user: str = option("", "user for SSH; the distribution's if empty", env="AWS_SSH_USER")
    ssh_port: int = option(22, "port of the image's SSH server", env="AWS_SSH_PORT")
    ssh_proxy_command: str = option("", "program that makes the SSH connection; %h %p", env="AWS_SSH_PROXY_COMMAND")
    session_manager: bool = option(False, "SSH through Session Manager, no port open", env="AWS_SESSION_MANAGER")
    instance_connect: bool = option(
        False, "no key pair: push the key by EC2 Instance Connect for each connection", env="AWS_INSTANCE_CONNECT"
    )
    userdata: str = option("", "file of user data, merged with ours", env="AWS_USERDATA", metavar="FILE")
    request_spot_instance: bool = option(False, "ask for a spot instance first", env="AWS_REQUEST_SPOT_INSTANCE")
    spot_price: str = option("", "most to pay an hour; the on-demand price if empty", env="AWS_SPOT_PRICE")
    spot_interruption: str = option(
        "terminate", "what an interruption does: terminate, stop or hibernate", env="AWS_SPOT_INTERRUPTION"
    )
    spot_only: bool = option(False, "fail rather than take an on-demand instance", env="AWS_SPOT_ONLY")
    launch_template: str = option(
        "", "launch template, by name or id", env="AWS_LAUNCH_TEMPLATE", metavar="T[:VERSION]"
    )
    placement_group: str = option("", "placement group", env="AWS_PLACEMENT_GROUP")
    tenancy: str = option("", "default, dedicated or host", env="AWS_TENANCY")
    cpu_credits: str = option("", "standard or unlimited, for burstable types", env="AWS_CPU_CREDITS")
    hibernate: bool = option(False, "let stop hibernate the instance", env="AWS_HIBERNATE")
    termination_protection: bool = option(False, "refuse termination by others", env="AWS_TERMINATION_PROTECTION")
    monitoring: bool = option(False, "detailed monitoring", env="AWS_MONITORING")
    use_ebs_optimized_instance: bool = option(False, "EBS-optimised, where that is a choice", env="AWS_EBS_OPTIMIZED")

    def types(self) -> list[str]:
        """Instance types in the order to try."""
        return list(dict.fromkeys([self.instance_type, *self.fallback_type]))

    def ports(self) -> list[Port]:
        """Further ports. Raises `InvalidOption`."""
        return [parse_port(text) for text in self.open_port]

    def own_tags(self) -> dict[str, str]:
        """The user's tags. Raises `InvalidOption`."""
        return parse_tags(self.tags)

    def volumes(self) -> list[Volume]:
        """Further volumes. Raises `InvalidOption`."""
        return [parse_volume(text, number) for number, text in enumerate(self.volume)]

    def private(self) -> bool:
        """Whether the instance is reached by its private address."""
        return self.use_private_address or self.private_address_only

    def problems(self) -> list[str]:
        """Everything wrong with the values themselves, each naming its flag."""
        found = list(self._plain_problems())
        checks: tuple[Callable[[], object], ...] = (self.ports, self.own_tags, self.volumes)
        for check in checks:
            try:
                check()
            except InvalidOption as error:
                found.append(str(error))
        return found + list(self._combined_problems())

    def _plain_problems(self) -> Iterator[str]:
        for name in self.types():
            if not _TYPE.fullmatch(name):
                yield f"--amazonec2-instance-type: {name!r} is not a type such as t3.micro"
        for flag, value, allowed in (
            ("spot-interruption", self.spot_interruption, INTERRUPTIONS),
            ("tenancy", self.tenancy, TENANCIES),
            ("cpu-credits", self.cpu_credits, CREDITS),
        ):
            if value not in allowed:
                yield f"--amazonec2-{flag}: {value!r} is none of {', '.join(word for word in allowed if word)}"
        if not self.ami and self.distribution not in catalogue.names():
            yield f"--amazonec2-distribution: {self.distribution!r} is none of {', '.join(catalogue.names())}"
        if not 1 <= self.ssh_port <= 65535:
            yield f"--amazonec2-ssh-port: {self.ssh_port} is not a port"
        if not 1 <= self.root_size <= 65536:
            yield f"--amazonec2-root-size: {self.root_size} is not between 1 and 65536 GB"
        if self.spot_price and not re.fullmatch(r"\d+(\.\d+)?", self.spot_price):
            yield f"--amazonec2-spot-price: {self.spot_price!r} is not a price such as 0.05"
        if self.endpoint and not re.fullmatch(r"https?://\S+", self.endpoint):
            yield f"--amazonec2-endpoint: {self.endpoint!r} is not an http or https URL"
        if "@" in self.endpoint.partition("//")[2].partition("/")[0]:
            yield "--amazonec2-endpoint: the URL has a user or password in it, which pymachine would have to store"
        for text in self.allow_from:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                yield f"--amazonec2-allow-from: {error}"

    def _combined_problems(self) -> Iterator[str]:
        for flag, path in (("ssh-keypath", self.ssh_keypath), ("userdata", self.userdata)):
            if path and not Path(path).expanduser().is_file():
                yield f"--amazonec2-{flag}: there is no file {path}"
        if self.keypair_name and not self.ssh_keypath:
            yield "--amazonec2-keypair-name needs the pair's private key by --amazonec2-ssh-keypath"
        if self.open_port and self.security_group:
            yield "--amazonec2-open-port opens ports in a group that pymachine makes, so not with one that is given"
        if self.elastic_ip and (self.private() or self.ipv6):
            yield "--amazonec2-elastic-ip is a public IPv4 address, so not with a private one or IPv6"
        if self.ipv6 and self.private():
            yield "--amazonec2-ipv6 and a private address exclude each other"
        if self.session_manager and self.ssh_proxy_command:
            yield "--amazonec2-session-manager and --amazonec2-ssh-proxy-command exclude each other"
        if self.session_manager and self.role:
            yield (
                "--amazonec2-session-manager runs the AWS CLI, which knows no --amazonec2-role; "
                "name a profile that assumes the role"
            )
        if self.instance_connect and self.keypair_name:
            yield "--amazonec2-instance-connect and --amazonec2-keypair-name exclude each other"
        if self.hibernate and self.request_spot_instance:
            yield "--amazonec2-hibernate is for on-demand instances; see --amazonec2-spot-interruption"
        if self.spot_only and not self.request_spot_instance:
            yield "--amazonec2-spot-only needs --amazonec2-request-spot-instance"
