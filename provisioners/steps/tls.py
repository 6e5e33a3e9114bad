"""The host's TLS files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pymachine.provisioners import paths
from pymachine.provisioners.actions import Action, Put, Run, digest
from pymachine.provisioners.base import Wanted
from pymachine.provisioners.facts import Facts

PAIR = (paths.SERVER_KEY, paths.SERVER_CERT)
NEW = ".new"


class TLS:
    """Writes CA, server certificate and key where they differ; a key is 0600 from its first byte.

    A pair that is there already is replaced at once: an engine that started between two files, after we were cut off,
    would find a certificate of another key.
    """

    name = "tls"
    title = "Copying certificates to the host"

    def plan(self, facts: Facts, wanted: Wanted) -> Sequence[Action]:
        tls = wanted.plan.tls
        files = [(paths.CA, tls.ca, 0o644), (paths.SERVER_CERT, tls.cert, 0o644), (paths.SERVER_KEY, tls.key, 0o600)]
        changed = {
            path: Put(path, data, mode)
            for path, source, mode in files
            if facts.files.get(path) != digest(data := source.read_bytes()) or facts.modes.get(path) != mode
        }
        puts: list[Action] = list(changed.values())
        if all(path in changed and facts.files.get(path) for path in PAIR):
            puts = [replace(put, path=f"{path}{NEW}") if path in PAIR else put for path, put in changed.items()]
            puts.append(Run(shell=" && ".join(f"mv -fT {path}{NEW} {path}" for path in PAIR)))
        if puts and not facts.files.get(paths.CA):
            puts.insert(0, Run(("install", "-d", "-m", "0755", paths.CONFIG_DIR)))
            puts.insert(1, Run(("install", "-d", "-m", "0700", paths.TLS_DIR)))
        return puts
