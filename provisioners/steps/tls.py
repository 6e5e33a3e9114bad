"""The host's TLS files."""

from __future__ import annotations

from collections.abc import Sequence

from pymachine.provisioners import paths
from pymachine.provisioners.actions import Action, Put, Run, digest
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts


class TLS:
    """Writes CA, server certificate and key where they differ; a key is 0600 from its first byte."""

    name = "tls"
    title = "Copying certificates to the host"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        tls = wanted.plan.tls
        files = [(paths.CA, tls.ca, 0o644), (paths.SERVER_CERT, tls.cert, 0o644), (paths.SERVER_KEY, tls.key, 0o600)]
        puts: list[Action] = []
        for path, source, mode in files:
            data = source.read_bytes()
            if facts.files.get(path) != digest(data) or facts.modes.get(path) != mode:
                puts.append(Put(path, data, mode))
        if puts and not facts.files.get(paths.CA):
            puts.insert(0, Run(("install", "-d", "-m", "0755", paths.CONFIG_DIR)))
            puts.insert(1, Run(("install", "-d", "-m", "0700", paths.TLS_DIR)))
        return puts
