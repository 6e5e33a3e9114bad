"""Chain ids, changes, platforms, challenges, credentials, endpoints, decompression."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import random
from pathlib import Path
from typing import Any

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.images import platforms
from pymachine.engine.images.archive.decompress import decompressed
from pymachine.engine.images.chains import chain_ids, digest_of
from pymachine.engine.images.changes import apply_changes
from pymachine.engine.images.errors import BadArchive
from pymachine.engine.images.registry import challenge, endpoints
from pymachine.engine.images.registry.credentials import NOBODY, from_header
from pymachine.engine.images.registry.endpoints import Registries


def test_chain_ids_follow_the_specification() -> None:
    one, two = digest_of(b"1"), digest_of(b"2")
    assert chain_ids([]) == ()
    assert chain_ids([one]) == (one,)
    assert chain_ids([one, two]) == (one, digest_of(f"{one} {two}".encode()))


def test_changes_add_up_as_in_a_dockerfile() -> None:
    changes = [
        'CMD ["a", "b"]\nENV A=1 B="two words"',
        "ENV OLD old form",
        "ENTRYPOINT run it",
        "EXPOSE 80 53/UDP 8000-8001",
        "WORKDIR /srv",
        "WORKDIR app",
        'VOLUME ["/data", "/more"]',
        "LABEL a=b c=d",
        "USER nobody",
        "STOPSIGNAL SIGINT",
    ]
    config = apply_changes({"Env": ["A=0", "PATH=/bin"]}, changes)
    assert config == {
        "Env": ["A=1", "PATH=/bin", "B=two words", "OLD=old form"],
        "Entrypoint": ["/bin/sh", "-c", "run it"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}},
        "WorkingDir": "/srv/app",
        "Volumes": {"/data": {}, "/more": {}},
        "Labels": {"a": "b", "c": "d"},
        "User": "nobody",
        "StopSignal": "SIGINT",
    }


@pytest.mark.parametrize("change", ["RUN x", "CMD", "EXPOSE 0", "EXPOSE 70000", "LABEL a=b c", "ENV x", 'ENV a="'])
def test_changes_that_make_no_sense_are_refused(change: str) -> None:
    with pytest.raises(InvalidArgument):
        apply_changes({}, [change])


def _entry(text: str) -> dict[str, Any]:
    system, architecture, *variant = text.split("/")
    return {"platform": {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}}


def test_the_best_platform_is_chosen() -> None:
    entries = [
        _entry(text) for text in ("linux/arm/v5", "linux/arm/v6", "linux/arm/v8", "linux/amd64", "windows/amd64")
    ]
    assert platforms.choose(platforms.Platform("linux", "amd64"), entries) is entries[3]
    assert platforms.choose(platforms.Platform("linux", "arm", "v7"), entries) is entries[1]
    assert platforms.choose(platforms.Platform("linux", "s390x"), entries) is None
    assert str(platforms.parse("linux/x86_64")) == "linux/amd64"
    with pytest.raises(InvalidArgument):
        platforms.parse("linux/../x")


def test_challenges_are_read_with_quotes_and_commas() -> None:
    asked = challenge.parse('Bearer realm="https://a/t?x=1",service="s",scope="repository:a:pull,push"')
    assert asked is not None
    assert asked.scheme == "bearer"
    assert asked.parameters == {"realm": "https://a/t?x=1", "service": "s", "scope": "repository:a:pull,push"}
    assert challenge.parse("Negotiate") is None


def test_credentials_come_from_the_header_and_do_not_show() -> None:
    header = base64.urlsafe_b64encode(json.dumps({"username": "u", "password": "p?>"}).encode()).decode().rstrip("=")
    credentials = from_header(header)
    assert credentials.basic == "Basic " + base64.b64encode(b"u:p?>").decode()
    assert "p?>" not in repr(credentials)
    assert from_header("") == NOBODY
    with pytest.raises(InvalidArgument):
        from_header("%%%")


def test_only_loopback_and_listed_registries_may_be_insecure(tmp_path: Path) -> None:
    registries = Registries(insecure=("10.0.0.0/8", "old.example:5000"), mirrors=("http://m:1/",), certs_dir=tmp_path)
    assert registries.is_insecure("127.0.0.1:5000")
    assert registries.is_insecure("localhost:5000")
    assert registries.is_insecure("[::1]:5000")
    assert registries.is_insecure("10.1.2.3:80")
    assert registries.is_insecure("old.example:5000")
    assert not registries.is_insecure("old.example")
    assert not registries.is_insecure("localhost.example")
    assert not registries.is_insecure("11.0.0.1")
    assert [one.url for one in registries.endpoints("docker.io")] == ["http://m:1", "https://registry-1.docker.io"]
    assert [one.url for one in registries.endpoints("quay.io")] == ["https://quay.io"]
    assert [one.url for one in registries.endpoints("localhost:1")] == ["https://localhost:1", "http://localhost:1"]
    for insecure, mirrors in ((["http://x"], []), ([], ["ftp://x"]), ([], ["x"])):
        with pytest.raises(InvalidArgument):
            endpoints.check(insecure, mirrors)


DATA = random.Random(1).randbytes(300_000) + b"\0" * 3_000_000


def _zstd(data: bytes) -> bytes:
    import shutil
    import subprocess

    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    return subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, bytes, _zstd])
def test_each_compression_is_read_whole_and_refused_when_damaged(compress: Any) -> None:
    packed = compress(DATA)
    pieces = list(decompressed(io.BytesIO(packed)))
    assert b"".join(pieces) == DATA
    assert max(map(len, pieces)) <= 1 << 20
    assert b"".join(decompressed(io.BytesIO(packed + b"later"), len(packed))) == DATA
    if compress is not bytes:
        assert b"".join(decompressed(io.BytesIO(packed + packed))) == DATA + DATA
        for damaged in (packed[:-5], packed[: len(packed) // 2], packed[:20] + b"xxxxxxxxxx" + packed[30:]):
            with pytest.raises(BadArchive):
                b"".join(decompressed(io.BytesIO(damaged)))
    with pytest.raises(BadArchive, match="ends early"):
        b"".join(decompressed(io.BytesIO(packed), len(packed) + 1))
