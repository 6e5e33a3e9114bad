"""An archive under a passphrase: AES-256-GCM (NIST SP 800-38D), the key from scrypt (RFC 7914).

::

    pymachine sealed archive 1\\n | log2(n), r, p: a byte each | salt: 16 bytes | nonce: 12 bytes | what was sealed

All before the last part is authenticated with it, so that nothing can be changed unseen.
"""

from __future__ import annotations

import os
import struct

from pymachine.store.archive import ArchiveRefused

_MAGIC = b"pymachine sealed archive 1\n"
_HEAD = struct.Struct("BBB16s12s")
COST, BLOCK, LANES = 17, 8, 1
"""2¹⁷ rounds over 128 MiB: half a second of one CPU for each guess."""
HIGHEST_COST = 18
"""More than this is not tried: whoever wrote the file could ask for all of the memory."""


def is_sealed(content: bytes) -> bool:
    """Whether a passphrase is needed."""
    return content.startswith(_MAGIC)


def seal(content: bytes, passphrase: bytes) -> bytes:
    """*content*, for those alone who know the passphrase."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(16), os.urandom(12)
    head = _MAGIC + _HEAD.pack(COST, BLOCK, LANES, salt, nonce)
    return head + AESGCM(_key(passphrase, salt, COST, BLOCK, LANES)).encrypt(nonce, content, head)


def unseal(content: bytes, passphrase: bytes) -> bytes:
    """What was sealed; raises `ArchiveRefused` when the passphrase is another or anything was changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    end = len(_MAGIC) + _HEAD.size
    if not is_sealed(content) or len(content) < end:
        raise ArchiveRefused("it is cut short")
    cost, block, lanes, salt, nonce = _HEAD.unpack(content[len(_MAGIC) : end])
    if not (1 <= cost <= HIGHEST_COST and block == BLOCK and lanes == LANES):
        raise ArchiveRefused("it is sealed in a way that this version does not know")
    try:
        return AESGCM(_key(passphrase, salt, cost, block, lanes)).decrypt(nonce, content[end:], content[:end])
    except InvalidTag:
        raise ArchiveRefused("the passphrase is another, or the file was changed or cut short") from None


def _key(passphrase: bytes, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=1 << cost, r=block, p=lanes).derive(passphrase)
