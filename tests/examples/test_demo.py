"""`python -m demo` as a person runs it: whole, interrupted, and with things missing or wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.measure import Differs, check_echoes, measure
from demo.process import ROOT, NotStarted, ServerProcess
from demo.servers import SERVERS

NAMES = [server.name for server in SERVERS]

# A WebSocket server that does what it should but for one thing.
FAULTY = """
import sys
from werkzeug.serving import run_simple
from simple_websocket import ConnectionError, Server
def app(environ, start_response):
    try:
        ws = Server.accept(environ, compression={compression})
    except ConnectionError as error:
        start_response("400 Bad Request", [])
        return []
    for number, message in enumerate(ws):
        ws.send({answer})
    start_response("200 OK", [])
    return []
run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
"""


def start_demo(*python: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *(python or ("-m", "demo", "--seconds", "0.2"))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


@pytest.fixture
def demo() -> Iterator[list[subprocess.Popen[str]]]:
    """For the processes of a test, which are ended after it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)  # so that it takes its servers with it
        process.communicate(timeout=15)


def test_whole(demo: list[subprocess.Popen[str]]) -> None:
    demo.append(start_demo())
    output, _ = demo[0].communicate(timeout=50)
    assert demo[0].returncode == 0, output
    progress, _, table = output.partition("64-byte messages")
    for number, name in enumerate(NAMES, 1):
        done = rf"\[{number}/{len(NAMES)}\] {name}: .*, text, binary, 1 MiB, compressed \(\d+ KiB as [\d.]+ KiB\), meas.*, ok\n"
        assert re.search(done, progress), output
        row = rf"^{name} +(threading|gevent|eventlet|asyncio) +[\d,]+ +[\d,]+ µs +[\d,]+ µs$"
        assert re.search(row, table, re.MULTILINE), output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(demo: list[subprocess.Popen[str]], number: signal.Signals) -> None:
    """It ends at once, and every server with it."""
    demo.append(start_demo("-m", "demo", "--seconds", "30"))
    port = None
    while port is None:
        started = [line for line in children_of(demo[0].pid) if "--port" in line]
        port = started[0].split()[-1] if started else None
        assert demo[0].poll() is None
        time.sleep(0.02)
    time.sleep(1.0 if number == signal.SIGINT else 0.0)  # while it measures; while the server starts
    sent = time.monotonic()
    demo[0].send_signal(number)
    output, _ = demo[0].communicate(timeout=10)
    assert time.monotonic() - sent < 8
    assert demo[0].returncode == (130 if number == signal.SIGINT else 128 + number), output
    assert "Traceback" not in output
    assert not [line for line in all_processes() if line.endswith(f"--port {port}")]


def test_a_package_is_missing(demo: list[subprocess.Popen[str]]) -> None:
    hide = "import sys, importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'eventlet' else f(n, *a)"
    demo.append(start_demo("-c", f"{hide}; sys.argv = ['demo']; import runpy; runpy.run_module('demo', run_name='__main__')"))
    output, _ = demo[0].communicate(timeout=15)
    assert demo[0].returncode == 2
    assert output.startswith("The demo needs eventlet, which this Python (") and "make demo" in output


def test_a_server_that_does_not_start(demo: list[subprocess.Popen[str]]) -> None:
    """The others are visited all the same."""
    spoil = "import demo.servers as s; s.EXAMPLES = 'no/such/folder'; s.SERVERS[:] = s.SERVERS[:1] + s.SERVERS[-1:]"
    good = "('examples/flask/server.py', '--port', str(port))"
    mend = f"s.SERVERS[1:] = [s.WebServer('good', 'threading', (), lambda port: {good})]"
    demo.append(start_demo("-c", f"{spoil}; {mend}; import demo.run as r; raise SystemExit(r.run(0.1))"))
    output, _ = demo[0].communicate(timeout=30)
    assert demo[0].returncode == 1, output
    assert "[1/2] Werkzeug: starting, FAILED" in output and "[2/2] good: " in output
    assert "FAILED Werkzeug: Werkzeug ended with status 2 instead of starting" in output
    assert "no/such/folder/flask/server.py" in output.partition("end of the log")[2]  # what Python wrote about it
    assert re.search(r"^good +threading +[\d,]+", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("answer", "compression", "complaint"),
    [
        ("message.upper() if number == 0 else message", "True", "text: sent"),
        ("bytes(message)[::-1] if number == 1 else message", "True", "binary: sent"),
        ("message[:-1] if len(message) == 1 << 20 else message", "True", "1 MiB: sent 1048576 of bytes"),
        ("message if number else message.encode()", "True", "text: sent"),
        ("message", "False", "compression was not negotiated"),
        ("message", "__import__('simple_websocket').Compression(level=0)", "bytes on the wire (received)"),
    ],
)
def test_an_echo_that_differs(answer: str, compression: str, complaint: str, tmp_path: Path) -> None:
    code = FAULTY.format(answer=answer, compression=compression)
    with ServerProcess("faulty", lambda port: ["-c", code, str(port)], tmp_path / "log") as server:
        with pytest.raises(Differs, match=re.escape(complaint)):
            list(check_echoes(server.url("/")))


def test_a_round_trip_that_differs(tmp_path: Path) -> None:
    code = FAULTY.format(answer="'x' if number == 20 else message", compression="True")
    with ServerProcess("faulty", lambda port: ["-c", code, str(port)], tmp_path / "log") as server:
        with pytest.raises(Differs, match="round trip 21"):
            measure(server.url("/"), 5.0)


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    process = ServerProcess("mute", lambda port: ["-c", "import time; time.sleep(61.25)"], tmp_path / "log", patience=0.5)
    with pytest.raises(NotStarted, match="no answer on port"):
        process.start()
    assert not [line for line in all_processes() if "time.sleep(61.25)" in line]


def all_processes() -> list[str]:
    """The command lines of all processes."""
    return [line for _, line in _processes()]


def children_of(pid: int) -> list[str]:
    """The command lines of a process's children."""
    return [line for parent, line in _processes() if parent == pid]


def _processes() -> Iterator[tuple[int, str]]:
    """(parent, command line) of all processes; from /proc, because a small machine has no ps."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it has just ended
        yield int(status.rpartition(")")[2].split()[1]), line
