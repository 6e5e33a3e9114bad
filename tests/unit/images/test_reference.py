"""References: normal form, what is shown, what is refused."""

from __future__ import annotations

import pytest

from pymachine.dockerapi.errors import InvalidArgument
from pymachine.engine.images.reference import parse, parse_pull

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "normal", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
        ("quay.io/a/b/c:x", "quay.io/a/b/c:x", "quay.io/a/b/c:x"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}", f"busybox:1@{DIGEST}"),
        ("a__b/c-d.e", "docker.io/a__b/c-d.e:latest", "a__b/c-d.e:latest"),
    ],
)
def test_normal_and_familiar_forms(text: str, normal: str, familiar: str) -> None:
    reference = parse(text).with_default_tag()
    assert str(reference) == normal
    assert reference.familiar == familiar
    assert str(parse(str(reference))) == normal


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", "/a", "a//b", "a/../b", "-a", "a@sha256:12", "a b", "a\n", "ab" * 32, "a:" + "t" * 129, "x" * 300]
    + ["http://a/b", "a@b", "..", "a:tag:tag", "é", "a/b@sha512:" + "0" * 128, "host:port/x"],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse(text)


def test_upper_case_names_are_named_as_the_reason() -> None:
    with pytest.raises(InvalidArgument, match="repository name must be lowercase"):
        parse("Team/App:1")


def test_the_tag_parameter_of_a_pull_may_be_a_tag_or_a_digest() -> None:
    assert str(parse_pull("busybox", "1")) == "docker.io/library/busybox:1"
    assert str(parse_pull("busybox:2", "1")) == "docker.io/library/busybox:1"
    assert str(parse_pull("busybox", DIGEST)) == f"docker.io/library/busybox@{DIGEST}"
    with pytest.raises(InvalidArgument):
        parse_pull("busybox", "no tag")
