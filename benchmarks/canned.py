"""The server that clients are measured against: ``python -m benchmarks.canned``.

What it answers is made beforehand: for each masked frame of the size that the path names it sends the frame of its echo.  It
unmasks the first frame of a connection and looks whether that is what it should be, and looks at the lengths of the others;
whether the echo is right is the clients' business.
"""

from __future__ import annotations

import json
import socket
import sys
import threading

from .cases import Case
from .orders import listen
from .peer import Frames
from .wire import accept_key

__all__ = ["Conversation", "main"]

_READ = 256 * 1024


class Conversation:
    """One connection of a client.

    :param sock: accepted, blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = b""

    def serve(self) -> None:
        """Answer until the client goes, or sends what it should not."""
        with self._sock:
            path, key = self._request()
            frames = Frames(Case.parse(path.lstrip("/")), True, 0)
            accepted = accept_key(key)
            self._sock.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
            )
            size = len(frames.sent)
            echo = frames.ring[: frames.size]
            header = size - len(frames.payload) - 4
            received = len(self._data)
            first = bytearray(self._data)
            while True:
                data = self._sock.recv(_READ)
                if not data:
                    return
                if first is not None:
                    first += data
                    if len(first) >= size:
                        if not _is_masked(bytes(first[:size]), frames, header):
                            return  # the client's next read says so
                        first = None
                elif received % size == 0 and (data[0] | 0x80 == 0x88 or len(data) >= 2 and data[:2] != frames.sent[:2]):
                    return  # a Close frame, or something that was not agreed on
                count, received = divmod(received + len(data), size)
                if count:
                    self._sock.sendall(echo if count == 1 else echo * count)

    def _request(self) -> tuple[str, str]:
        while b"\r\n\r\n" not in self._data:
            data = self._sock.recv(_READ)
            if not data:
                return "", ""
            self._data += data
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return lines[0].split(" ")[1], headers["sec-websocket-key"]


def _is_masked(data: bytes, frames: Frames, header: int) -> bool:
    key, mixed = data[header : header + 4], data[header + 4 :]
    return data[:header] == frames.sent[:header] and bytes(b ^ key[i & 3] for i, b in enumerate(mixed)) == frames.payload


def _serve(listener: socket.socket) -> None:
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_safely, args=(Conversation(sock),), daemon=True).start()


def _safely(conversation: Conversation) -> None:
    try:
        conversation.serve()
    except OSError:
        pass  # the client has gone


def main() -> None:
    """Say the port, and serve until the standard input ends."""
    listener = listen()
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    while sys.stdin.buffer.read1(4096):
        pass


if __name__ == "__main__":
    main()
