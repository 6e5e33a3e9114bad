"""The catalogue of official images, and the lists of checksums of each publisher in its own format."""

from __future__ import annotations

import pytest

from pymachine.drivers.libvirt.images import catalogue
from pymachine.machine.errors import DriverError, InvalidOption

SHA256, OTHER = "e401a4db2e5e04d1967b6729774faa96da629bcf3ba90b67d8d9cce9906bec0f", "cd" * 32
SHA512 = "ab" * 64
DISTRIBUTIONS = {
    "alma": {"9", "10"},
    "centos-stream": {"9", "10"},
    "debian": {"11", "12", "13"},
    "fedora": {"43", "44"},
    "opensuse": {"15.6", "16.0"},
    "rocky": {"9", "10"},
    "ubuntu": {"22.04", "24.04"},
}
FEDORA = f"""\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

# Fedora-Cloud-Base-AmazonEC2-44-1.7.x86_64.raw.xz: 541542268 bytes
SHA256 (Fedora-Cloud-Base-AmazonEC2-44-1.7.x86_64.raw.xz) = {OTHER}
# {{file}}: 532217856 bytes
SHA256 ({{file}}) = {SHA256}
-----BEGIN PGP SIGNATURE-----

iQIzBAEBCAAdFiEEsPSVBFj2nhFQxsXtyKxJFhBe+UQFAmf4+/IACgkQ
-----END PGP SIGNATURE-----
"""
DEBIAN = f"{'cd' * 64}  debian-12-generic-amd64.qcow2\n{SHA512}  {{file}}\n{'ef' * 64}  {{file}}.asc\n"
UBUNTU = f"{OTHER} *ubuntu-24.04-server-cloudimg-amd64.manifest\n{SHA256} *{{file}}\n{OTHER} *x{{file}}\n"
ALMA = f"{OTHER}  AlmaLinux-9-GenericCloud-9.6-20250522.x86_64.qcow2.old\n{SHA256}  {{file}}\n"
ROCKY = (
    f"# {{file}}: 619708416 bytes\nSHA256 ({{file}}) = {SHA256}\n# x{{file}}: 1 bytes\nSHA256 (x{{file}}) = {OTHER}\n"
)
OPENSUSE = f"{SHA256}  Leap-16.0-Minimal-VM.x86_64-Cloud-Build16.2.qcow2\n"
CENTOS = f"# CentOS-Stream-GenericCloud-9-20260101.0.x86_64.qcow2: 1 bytes\nSHA256 (CentOS-9.x86_64.qcow2) = {SHA256}\n"


def test_every_distribution_is_there_for_both_architectures_with_its_checksums() -> None:
    found: dict[str, set[str]] = {}
    for name in catalogue.names():
        distribution, _, version = name.rpartition("-")
        found.setdefault(distribution, set()).add(version)
        for architecture, words in (("x86_64", ("x86_64", "amd64")), ("aarch64", ("aarch64", "arm64"))):
            official = catalogue.find(name, architecture)
            assert official is not None
            assert official.url.startswith("https://")
            assert official.checksums.startswith("https://")
            assert official.url.endswith(
                tuple(f"{word}{end}" for word in words for end in (".qcow2", "-Cloud.qcow2", ".img"))
            )
            assert version.split(".", maxsplit=1)[0] in official.url

    assert found == DISTRIBUTIONS


def test_what_is_not_there_is_told() -> None:
    assert catalogue.find("beos-5", "x86_64") is None
    with pytest.raises(InvalidOption, match="debian-12 is not published for s390x"):
        catalogue.find("debian-12", "s390x")


@pytest.mark.parametrize(
    ("name", "listing", "checksum"),
    [
        ("debian-12", DEBIAN, f"sha512:{SHA512}"),
        ("ubuntu-24.04", UBUNTU, f"sha256:{SHA256}"),
        ("fedora-44", FEDORA, f"sha256:{SHA256}"),
        ("alma-9", ALMA, f"sha256:{SHA256}"),
        ("rocky-9", ROCKY, f"sha256:{SHA256}"),
        ("opensuse-16.0", OPENSUSE, f"sha256:{SHA256}"),
        ("centos-stream-9", CENTOS, f"sha256:{SHA256}"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_publishers_list_is_read(name: str, listing: str, checksum: str, end: str) -> None:
    official = catalogue.find(name, "x86_64")
    assert official is not None
    text = listing.format(file=official.url.rpartition("/")[2]).replace("\n", end)

    assert catalogue.pick(text, official.url, official.checksums) == checksum


@pytest.mark.parametrize(
    "listing",
    [
        "",
        "<html>not found</html>",
        f"{'ab' * 20}  disk.qcow2\n",
        f"{'ab' * 16}  disk.qcow2\n",
        f"{SHA256}  xdisk.qcow2\n",
        f"{SHA256}  disk.qcow2.sig\n",
        f"# SHA256 (disk.qcow2) = {SHA256}\n",
        f"{'zz' * 32}  disk.qcow2\n",
    ],
)
def test_a_list_without_a_good_checksum_of_the_image_is_refused(listing: str) -> None:
    with pytest.raises(DriverError, match=r"does not name disk\.qcow2"):
        catalogue.pick(listing, "https://example.invalid/a/disk.qcow2", "https://example.invalid/a/SHA256SUMS")


def test_only_a_list_of_the_images_own_may_tell_another_name() -> None:
    url, listing = "https://example.invalid/disk.qcow2", f"{SHA256}  disk-build7.qcow2\n"

    assert catalogue.pick(listing, url, f"{url}.sha256") == f"sha256:{SHA256}"
    for text, checksums in ((listing, "https://example.invalid/CHECKSUM"), (listing * 2, f"{url}.sha256")):
        with pytest.raises(DriverError, match="does not name"):
            catalogue.pick(text, url, checksums)
