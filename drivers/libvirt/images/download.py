"""Bring a file here over HTTP, going on where a broken connection or a killed command left off (RFC 9110, section 14).

The file grows under the name of what it is to be, address and checksum, so that a part is never continued with
another file's rest; it is whole only when its digest says so.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pymachine.machine.errors import DriverError

CHUNK = 256 << 10
SILENCE_SECONDS = 60
MOST_LISTING = 1 << 20
TRIES = 4
"""Attempts in a row that bring nothing, until it is given up."""
PAUSE = 1.0
TELL_EVERY = 10
"""Hundredths of the whole, between two lines of progress."""
BROKEN = (OSError, http.client.HTTPException)
ELSEWHERE = "a file from elsewhere can be used as well: --libvirt-image /path/to/image.qcow2"


class _Secure(urllib.request.HTTPRedirectHandler):
    """What is believed because it comes by HTTPS must not come by less."""

    def redirect_request(self, request: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if request.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise DriverError(f"{request.full_url} leads to {newurl}, which is not secured by HTTPS")
        return super().redirect_request(request, fp, code, msg, headers, newurl)


def read(url: str) -> str:
    """A short text such as a list of checksums."""
    try:
        with urllib.request.build_opener(_Secure).open(url, timeout=SILENCE_SECONDS) as answer:
            return str(answer.read(MOST_LISTING).decode("utf-8", "replace"))
    except BROKEN as error:
        raise DriverError(f"cannot fetch {url}: {reason(error)}", hint=ELSEWHERE) from error


def download(url: str, part: Path, checksum: str, report: Callable[[str], None]) -> None:
    """Complete *part*, which may have a beginning, and hold it to *checksum* (``sha256:…``).

    Raises `DriverError`: what has come then stays for the next time, unless it is not what it should be.
    """
    begun = _size(part)
    if begun:
        report(f"Going on with what is here of {url} ({begun >> 20} MiB)")
    _complete(url, part, report)
    found = _digest(part, checksum)
    if found != checksum and begun:  # a damaged beginning must not be kept for ever
        report("The beginning that was here does not fit; fetching all of it")
        part.unlink()
        _complete(url, part, report)
        found = _digest(part, checksum)
    if found != checksum:
        part.unlink()
        algorithm, _, digest = found.partition(":")
        raise DriverError(f"{url} is not what its checksum says: {algorithm} is {digest}")


def _complete(url: str, part: Path, report: Callable[[str], None]) -> None:
    progress = Progress(report)
    failures = 0
    while True:
        before = _size(part)
        try:
            if _attempt(url, part, progress):
                return
            why = "the connection broke off"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                raise DriverError(f"cannot fetch {url}: {reason(error)}", hint=ELSEWHERE) from error
            why = reason(error)
        except BROKEN as error:
            if isinstance(error, OSError) and error.filename:  # of our own file, such as that the disk is full
                raise
            why = reason(error)
        failures = 0 if _size(part) > before else failures + 1
        if failures >= TRIES:
            raise DriverError(f"cannot fetch {url}: {why}", hint=f"{ELSEWHERE}; what has come stays for the next time")
        time.sleep(PAUSE * failures)


def _attempt(url: str, part: Path, progress: Progress) -> bool:
    """Bring what is missing; whether it is all there now."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=SILENCE_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        error.close()
        if _total(error.headers.get("Content-Range")) == have:
            return True
        part.unlink()
        return False
    with answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0
        elif _start(answer.headers.get("Content-Range")) != have:
            part.unlink()  # the server gives some other range
            return False
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with open(part, "ab" if have else "wb") as file:
            _pour(answer, file, have, total, progress)
    return total is None or _size(part) == total


def _pour(answer: IO[bytes], file: IO[bytes], have: int, total: int | None, progress: Progress) -> None:
    while chunk := answer.read(CHUNK):
        file.write(chunk)
        have += len(chunk)
        progress.tell(have, total)


class Progress:
    """Lines of progress, one for each tenth."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._told = 0

    def tell(self, have: int, total: int | None) -> None:
        """Of *total* bytes *have* are here."""
        if total is None:
            return
        reached = have * 100 // total // TELL_EVERY * TELL_EVERY
        if self._told < reached < 100:
            self._report(f"Fetched {reached} % of {total >> 20} MiB")
        self._told = max(self._told, reached)


def reason(error: Exception) -> str:
    """In words, without Python's names."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server says {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(getattr(error.reason, "strerror", None) or error.reason)
    return str(getattr(error, "strerror", None) or error) or "the connection broke off"


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _digest(path: Path, checksum: str) -> str:
    algorithm = checksum.partition(":")[0]
    with open(path, "rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _start(content_range: str | None) -> int | None:
    found = re.match(r"bytes (\d+)-", content_range or "")
    return int(found[1]) if found else None


def _total(content_range: str | None) -> int | None:
    found = re.search(r"/(\d+)$", content_range or "")
    return int(found[1]) if found else None
