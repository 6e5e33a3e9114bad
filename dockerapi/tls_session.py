"""TLS without input or output: ciphertext in, plaintext out, and the other way round.

asyncio's own TLS ends the connection as soon as the peer has closed its sending side. The Docker CLI does just
that at the end of its standard input (``echo x | docker run -i``) and goes on reading, so the connection is
kept here on OpenSSL's memory buffers, where both directions close on their own (RFC 8446, section 6.1).
"""

from __future__ import annotations

import ssl

_CHUNK = 256 * 1024


class TLSSession:
    """One TLS connection, on top of any byte stream."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self.established = False
        self.peer_closed = False
        """The peer will send no more (its close_notify, or the end of the stream below)."""

    @property
    def object(self) -> ssl.SSLObject:
        """For facts about the connection (peer certificate, version, cipher)."""
        return self._object

    def feed(self, ciphertext: bytes) -> bytes:
        """Take what arrived and give the plaintext in it. Raises `ssl.SSLError`.

        Send `outgoing` after each call, also after one that raised (it holds the alert for the peer).
        """
        self._incoming.write(ciphertext)
        if not self.established and not self._handshake():
            return b""
        return self._read()

    def feed_eof(self) -> None:
        """The stream below has ended. Raises `ssl.SSLError` in the middle of a handshake."""
        self.peer_closed = True
        self._incoming.write_eof()
        if not self.established:
            self._handshake()

    def begin(self) -> None:
        """Start the handshake (the client's first move)."""
        self._handshake()

    def _handshake(self) -> bool:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.established = True
        return True

    def _read(self) -> bytes:
        pieces = []
        while not self.peer_closed:
            try:
                piece = self._object.read(_CHUNK)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.peer_closed = True
                break
            pieces.append(piece)
        return b"".join(pieces)

    def encrypt(self, plaintext: bytes) -> bytes:
        """The ciphertext to send for *plaintext*."""
        view = memoryview(plaintext)
        while view:
            view = view[self._object.write(view) :]
        return self.outgoing()

    def close(self) -> bytes:
        """Say that no more will be sent; reading goes on. Gives the ciphertext to send."""
        try:
            self._object.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLError, OSError):
            # Wanting to read is the normal case: the peer's own close_notify comes later, or never.
            pass
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Ciphertext that waits to be sent."""
        return self._outgoing.read()
