"""What connections leave behind in the server's process, which is nothing, and what they cost while nothing happens."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from .conftest import Running
from .raw import OPENING, TEXT, frame

CONNECTIONS = 15


def resources(server: Running) -> dict[str, int]:
    return json.loads(server.get("/resources"))


def settled(server: Running) -> dict[str, int]:
    """What the server holds once every connection is gone and the numbers stand still."""
    deadline = time.monotonic() + 5
    last = resources(server)
    while True:
        time.sleep(0.15)
        now = resources(server)
        if now == last and not now["connections"]:
            return now
        assert time.monotonic() < deadline, f"the numbers do not settle: {now}"
        last = now


def test_nothing_is_left_behind(server: Running) -> None:
    with server.connect("/echo") as ws:  # whatever is loaded or made once and for all
        ws.send("")
        ws.receive(timeout=5)
    before = settled(server)
    for number in range(CONNECTIONS):
        with server.connect("/echo") as ws:
            ws.send("hello")
            assert ws.receive(timeout=5) == "hello"
        with server.raw("/echo") as raw:  # and drop it
            raw.send(frame(TEXT, b"hello"))
            assert raw.receive() == (TEXT, b"hello")
        if number % 5 == 0:
            with server.raw("/busy") as raw:  # the keeper's turn
                assert raw.receive() == (TEXT, b"busy")
        connection = server.http()
        connection.request("GET", "/careful", headers={**OPENING, "Sec-WebSocket-Key": "?"})
        assert connection.getresponse().status == 400
        connection.close()
    after = settled(server)
    assert after["descriptors"] <= before["descriptors"] and after["threads"] <= before["threads"], f"{before} -> {after}"


def processor_time(group: int) -> float:
    """Seconds of processor time of all living processes of a group."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def test_waiting_costs_nothing(server: Running) -> None:
    """Neither a connection that waits in receive() nor one that has more unread messages than are read ahead."""
    with server.raw("/busy") as flooded:
        assert flooded.receive() == (TEXT, b"busy")
        flooded.send(frame(TEXT, b"unread" * 100) * 300)  # the last of them stay in the socket
        idle = None if server.entry.one_at_a_time else server.raw("/echo")
        time.sleep(0.6)  # until the keeper has adopted both
        before = processor_time(server.pid)
        time.sleep(0.6)
        used = processor_time(server.pid) - before
        if idle is not None:
            idle.close()
    assert used < 0.1, f"{used:.2f} s of processor time within 0.6 s"
