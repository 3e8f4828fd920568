"""A TCP proxy that cuts conversations: `python -m tests.support.proxy TARGET_PORT HOW STEP`.

The first conversation passes whole, and is counted.  Each later one is cut one step further: after 0, STEP, 2*STEP ... bytes of
what the client says, then of what the server says.  HOW is "fin": that direction ends there in order, the other one goes on; or
"rst": both connections are reset.

It says its port in one line, and behind the first conversation how many there are to be cut.  A process of its own, because a
reset takes closing a descriptor under whoever waits for it, which no greenlet library forgives.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
from collections.abc import Iterator

_BUFFER = 65536


class Cut(Exception):
    """It is time to cut."""


class Conversation:
    """Two connections, and when to cut them.

    :param client: the accepted connection.
    :param server: the one to the target.
    :param plan: (direction, bytes after which to cut it), ``None`` for not at all.  Direction 0 is from the client.
    """

    def __init__(self, client: socket.socket, server: socket.socket, plan: tuple[int, int] | None) -> None:
        self._ends = (client, server)
        self._plan = plan
        self._ended = [False, False]
        self._deaf = [False, False]
        self.counts = [0, 0]
        for sock in self._ends:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def over(self) -> bool:
        return all(self._ended)

    def watch(self, selector: selectors.BaseSelector) -> None:
        for direction, sock in enumerate(self._ends):
            selector.register(sock, selectors.EVENT_READ, (self, direction))

    def left(self, direction: int) -> int:
        """How many bytes may still pass in a direction."""
        if self._plan is None or self._plan[0] != direction:
            return _BUFFER
        return self._plan[1] - self.counts[direction]

    def due(self) -> bool:
        return self._plan is not None and not self.left(self._plan[0])

    def pass_on(self, direction: int) -> bool:
        """Move what there is in a direction; return whether there will be more.  Cut: the time has come."""
        source, sink = self._ends[direction], self._ends[1 - direction]
        try:
            data = source.recv(_BUFFER if self._deaf[direction] else self.left(direction))
        except OSError:
            data = b""
        if not data:
            self._ended[direction] = True
            self._end(sink)
            return False
        if self._deaf[direction]:
            return True
        self.counts[direction] += len(data)
        try:
            sink.sendall(data)
        except OSError:
            self._deaf[direction] = True  # the receiver has gone
        if self.due():
            raise Cut
        return True

    def cut(self, how: str) -> None:
        assert self._plan is not None
        direction = self._plan[0]
        self._plan = None
        if how == "fin":
            self._deaf[direction] = True
            self._end(self._ends[1 - direction])
        else:
            for sock in self._ends:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._ended = [True, True]

    @staticmethod
    def _end(sock: socket.socket) -> None:
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self, selector: selectors.BaseSelector) -> None:
        for sock in self._ends:
            if sock in selector.get_map():
                selector.unregister(sock)
            sock.close()


def plans(counts: list[int], step: int) -> Iterator[tuple[int, int]]:
    for direction in (0, 1):
        for after in range(0, counts[direction], step):
            yield direction, after


def main(target: int, how: str, step: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ, None)
    print(listener.getsockname()[1], flush=True)
    todo: list[tuple[int, int]] | None = None
    while True:
        for key, _ in selector.select():
            if key.data is None:
                client, _ = listener.accept()
                plan = todo.pop(0) if todo else None
                conversation = Conversation(client, socket.create_connection(("127.0.0.1", target)), plan)
                conversation.watch(selector)
                if conversation.due():
                    conversation.cut(how)
            else:
                conversation, direction = key.data
                if key.fileobj.fileno() < 0:
                    continue  # closed a moment ago
                try:
                    if not conversation.pass_on(direction):
                        selector.unregister(key.fileobj)
                except Cut:
                    conversation.cut(how)
            if conversation.over:
                conversation.close(selector)
                if todo is None:
                    todo = list(plans(conversation.counts, step))
                    print(len(todo), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
