"""A peer that is OpenSSL's own command: TLS as somebody else speaks it, with key updates whenever they are asked for."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import termios
from copy import deepcopy
from pathlib import Path

from .wire import FrameReader, Head, request, response
from .world import World, authority, certificate

#: The command, ``None`` where it is not installed.
COMMAND = shutil.which("openssl")

# What s_server says about a key update, between the data that it prints; s_client says it elsewhere.
_SAID = b"SSL_do_handshake -> 1\n"
_NOISE = (_SAID, b"Read BLOCK\n")


class OpenSsl:
    """`openssl s_client` or `openssl s_server`, one connection.

    What arrives is what it prints, in a file, so that nobody has to read it in time.  What it is told on its standard input it
    sends, but for a piece that is "k" (update the keys for sending) or "K" (and have the peer update its own).
    """

    version = "-tls1_3"

    def __init__(self, world: World, *arguments: str) -> None:
        assert COMMAND is not None
        self._world = world
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        reader, self._stdin = os.pipe()
        try:
            command = [COMMAND, *arguments, self.version]
            self._process = subprocess.Popen(command, stdin=reader, stdout=self._out, stderr=self._err)
        finally:
            os.close(reader)
        world.on_cleanup(self.end)
        self._open = True
        self._start = self._fed = 0
        self.frames: FrameReader

    @classmethod
    def client(cls, world: World, port: int) -> OpenSsl:
        """Connect, and ask for a WebSocket."""
        self = cls(world, "s_client", "-connect", f"127.0.0.1:{port}")
        self.frames = FrameReader(masked=False)
        self.write(request(f"127.0.0.1:{port}"))
        self._await_head(b"HTTP/1.1 101 ")
        return self

    @classmethod
    def server(cls, world: World, folder: Path) -> tuple[OpenSsl, int]:
        """Listen; return it and the port."""
        leaf = certificate()
        chain, key = folder / "chain.pem", folder / "key.pem"
        leaf.private_key_pem.write_to_path(str(key))
        for number, part in enumerate([*leaf.cert_chain_pems, authority().cert_pem]):
            part.write_to_path(str(chain), append=number > 0)
        files = ("-cert", str(chain), "-cert_chain", str(chain), "-key", str(key))
        self = cls(world, "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", *files)
        self.frames = FrameReader(masked=True)
        line = world.until(lambda: [line for line in self._printed().splitlines() if line.startswith(b"ACCEPT ")])[0]
        return self, int(line.rpartition(b":")[2])

    def accept(self) -> None:
        """Answer the request."""
        self.write(response(self._await_head(b"GET ")))

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._stdin, data) :]

    def update_keys(self, both: bool) -> None:
        """Send a KeyUpdate (RFC 8446 section 4.6.3); `done` says how many have been sent."""
        self._await_empty_pipe()
        self.write(b"K\n" if both else b"k\n")
        self._await_empty_pipe()  # so that this is a piece of its own

    def done(self) -> int:
        """How many key updates it has sent, as it has said by now."""
        return self._complaints().count(b"KEYUPDATE") + self._printed().count(_SAID)

    def _await_empty_pipe(self) -> None:
        self._world.until(lambda: not any(fcntl.ioctl(self._stdin, termios.FIONREAD, bytes(4))), what="openssl to read")

    def next_frame(self):  # type: ignore[no-untyped-def]
        """Return the next frame."""

        def look():  # type: ignore[no-untyped-def]
            data = self._printed()[self._start :]
            for noise in _NOISE:
                data = data.replace(noise, b"")
            self._feed(data[self._fed :])
            return self.frames.next()

        return self._world.until(look, 20, "a frame")

    def _feed(self, data: bytes) -> None:
        """Pass on what it has printed, but for an end that may be the beginning of what it says: masked bytes can be anything."""
        unsure = max(size for noise in _NOISE for size in range(len(noise)) if data.endswith(noise[:size]))
        if unsure:
            trial = deepcopy(self.frames)
            trial.feed(data)
            while trial.next() is not None:
                pass
            if trial.rest == 0:  # it is a frame's last byte
                unsure = 0
        data = data[: len(data) - unsure]
        self.frames.feed(data)
        self._fed += len(data)

    def end(self) -> None:
        if self._open:
            self._open = False
            os.close(self._stdin)
            self._process.terminate()
            self._world.until(lambda: self._process.poll() is not None, what="the end of openssl")
            self._out.close()
            self._err.close()

    def _await_head(self, beginning: bytes) -> Head:
        """Wait for an HTTP head behind what OpenSSL says about the connection itself."""

        def look() -> bytes:
            return self._printed().partition(beginning)[2].partition(b"\r\n\r\n")[1]

        self._world.until(look, what=f"{beginning!r} after {self._complaints()!r}")
        start = self._printed().index(beginning)
        end = self._printed().index(b"\r\n\r\n", start) + 4
        self._start = end
        return Head(self._printed()[start : end - 4])

    def _printed(self) -> bytes:
        return os.pread(self._out.fileno(), os.fstat(self._out.fileno()).st_size, 0)

    def _complaints(self) -> bytes:
        return os.pread(self._err.fileno(), os.fstat(self._err.fileno()).st_size, 0)
