"""A real registry on loopback (Debian's ``docker-registry``), and a small pusher to put images into it.

::

    with Registry(tmp_path) as registry:
        digest = registry.push("library/busybox", "latest", [layer_tar], {"config": {"Cmd": ["sh"]}})
        pull(f"{registry.address}/library/busybox:latest")

``tls=True`` serves HTTPS with a certificate of its own authority (``ca_file``); ``users`` asks for a password.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import http.client
import ipaddress
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")


def available() -> bool:
    """Whether the registry's program is installed (Debian package docker-registry)."""
    return shutil.which("docker-registry") is not None


class Registry:
    """One registry process with its storage under *folder*; stopped when the block ends."""

    def __init__(self, folder: Path, *, tls: bool = False, users: dict[str, str] | None = None) -> None:
        self.folder = folder / "registry"
        self.tls = tls
        self.users = users or {}
        self.address = ""
        """``127.0.0.1:PORT``, once started."""
        self.ca_file = self.folder / "ca.crt"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self._process = subprocess.Popen(
            ["docker-registry", "serve", str(self._write_config())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
        )
        try:
            self.address = self._wait_until_listening(self._process)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def push(
        self,
        name: str,
        tag: str,
        layers: list[bytes],
        config: dict[str, Any] | None = None,
        *,
        oci: bool = False,
        compress: Callable[[bytes], bytes] = lambda data: gzip.compress(data, 1),
    ) -> str:
        """Put an image of uncompressed layer tars there; *config* adds to (or overrides) the image
        configuration document. Returns the manifest's digest. An empty *tag* stores it by digest only."""
        document = {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-01-02T03:04:05Z",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
            "history": [{"created": "2024-01-02T03:04:05Z", "created_by": f"layer {n}"} for n in range(len(layers))],
            **(config or {}),
        }
        described = [self._push_blob(name, compress(layer), OCI_LAYER if oci else DOCKER_LAYER) for layer in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST if oci else DOCKER_MANIFEST,
            "config": self._push_blob(name, json.dumps(document).encode(), OCI_CONFIG if oci else DOCKER_CONFIG),
            "layers": described,
        }
        return self.push_manifest(name, tag, manifest)

    def push_index(self, name: str, tag: str, images: dict[str, str], *, oci: bool = False) -> str:
        """Put a list of manifests there: *images* maps ``os/architecture[/variant]`` to a manifest's digest."""
        entries = []
        for platform, digest in images.items():
            system, architecture, *variant = platform.split("/")
            described = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
            size = len(self.get(f"/v2/{name}/manifests/{digest}", OCI_MANIFEST + ", " + DOCKER_MANIFEST))
            media_type = OCI_MANIFEST if oci else DOCKER_MANIFEST
            entries.append({"mediaType": media_type, "digest": digest, "size": size, "platform": described})
        kind = OCI_INDEX if oci else DOCKER_LIST
        return self.push_manifest(name, tag, {"schemaVersion": 2, "mediaType": kind, "manifests": entries})

    def push_manifest(self, name: str, tag: str, manifest: dict[str, Any]) -> str:
        """Put any manifest there; returns its digest."""
        data = json.dumps(manifest, indent=1).encode()
        digest = _digest(data)
        self._request("PUT", f"/v2/{name}/manifests/{tag or digest}", data, {"Content-Type": manifest["mediaType"]})
        return digest

    def get(self, path: str, accept: str = "*/*") -> bytes:
        """The body of a GET."""
        return self._request("GET", path, None, {"Accept": accept})[1]

    def blob_file(self, digest: str) -> Path:
        """Where the registry keeps a blob on disk (to damage it)."""
        algorithm, hexadecimal = digest.split(":")
        return (
            self.folder / "data/docker/registry/v2/blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"
        )  # the registry's own layout

    def auth_header(self) -> str:
        """``X-Registry-Auth`` for the first of *users*, as the Engine API wants it."""
        user, password = next(iter(self.users.items()))
        document = {"username": user, "password": password, "serveraddress": self.address}
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()

    def _push_blob(self, name: str, data: bytes, media_type: str) -> dict[str, Any]:
        headers, _ = self._request("POST", f"/v2/{name}/blobs/uploads/", b"", {})
        where = urlsplit(headers["location"])
        query = f"{where.query}&digest={_digest(data)}"
        self._request("PUT", f"{where.path}?{query}", data, {"Content-Type": "application/octet-stream"})
        return {"mediaType": media_type, "size": len(data), "digest": _digest(data)}

    def _request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[dict[str, str], bytes]:
        if self.users:
            pair = ":".join(next(iter(self.users.items())))
            headers = {**headers, "Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        connection: http.client.HTTPConnection
        if self.tls:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            connection = http.client.HTTPSConnection(self.address, timeout=60, context=context)
        else:
            connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            if answer.status >= 300:
                raise AssertionError(f"{method} {path}: {answer.status} {data[:500]!r}")
            return {name.lower(): value for name, value in answer.getheaders()}, data
        finally:
            connection.close()

    def _write_config(self) -> Path:
        http_section: dict[str, Any] = {"addr": "127.0.0.1:0", "secret": "only-for-tests"}
        if self.tls:
            key, certificate = _make_certificates(self.folder, self.ca_file)
            http_section["tls"] = {"certificate": str(certificate), "key": str(key)}
        document: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
            "http": http_section,
        }
        if self.users:
            document["auth"] = {"htpasswd": {"realm": "tests", "path": str(self._write_users())}}
        path = self.folder / "config.yml"
        path.write_text(json.dumps(document))  # JSON is YAML
        return path

    def _write_users(self) -> Path:
        import bcrypt

        path = self.folder / "htpasswd"
        lines = [
            f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, prefix=b'2a')).decode()}\n"
            for user, password in self.users.items()
        ]
        path.write_text("".join(lines))
        return path

    def _wait_until_listening(self, process: subprocess.Popen[str]) -> str:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if match := _LISTENING.search(line):
                # Somebody must go on reading, or the registry would stop when the pipe is full.
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return match[1]
        raise AssertionError("docker-registry did not start: " + "".join(said[-5:]))

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _make_certificates(folder: Path, ca_file: Path) -> tuple[Path, Path]:
    """An authority (written to *ca_file*) and a server certificate for 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)

    def build(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = build("tests", "tests", ca_key).add_extension(x509.BasicConstraints(True, 0), True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    server = build("127.0.0.1", "tests", server_key).add_extension(names, False)
    ca_file.write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    certificate, key_file = folder / "server.crt", folder / "server.key"
    certificate.write_bytes(server.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key_file.touch(0o600)
    key_file.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return key_file, certificate
