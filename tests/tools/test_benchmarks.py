"""The benchmarks' own machinery: the load generator counts every echo and lets none pass that is wrong; how reports calculate."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmarks import goals, report
from benchmarks.bench import Bench, Plan
from benchmarks.canned import Conversation
from benchmarks.cases import FULL_CASES, GROWTH_CASES, SHORT_CASES, Case
from benchmarks.child import Child, ChildFailed
from benchmarks.figures import Figures, Key, Spread
from benchmarks.load import Load
from benchmarks.orders import listen
from benchmarks.peer import Frames, Peer
from benchmarks.subjects import SUBJECTS
from benchmarks.wire import BROADCAST, TRIGGER, WrongEcho, accept_key, frame, masked, payload_of

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks need Linux")


# A subject of the test's own: it does not know WebSocket, and makes the mistakes that it is told to make.


class Echo:
    """Sends back what comes, or what `spoil` makes of it; counts the bytes."""

    def __init__(self, spoil=lambda data: data):
        self.received = 0
        self._spoil = spoil
        self._listener = listen()
        self.port = self._listener.getsockname()[1]
        self._socks = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            self._threads.append(threading.Thread(target=self._echo, args=(sock,)))
            self._threads[-1].start()

    def _echo(self, sock):
        try:
            while data := sock.recv(65536):
                self.received += len(data)
                sock.sendall(self._spoil(data))
        except OSError:
            pass
        finally:
            sock.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def echo():
    made = []

    def make(**options):
        made.append(Echo(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def run_load(port, case, seconds=0.05):
    load = Load(port, case, websocket=False)
    try:
        return load.run(seconds)
    finally:
        load.close()


CASES = [Case(1, 64), Case(1, 64, in_flight=5), Case(7, 64), Case(3, 1000, in_flight=4), Case(2, 300_000), Case(1, 65536)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_message_is_counted_once(echo, case):
    server = echo()
    messages, seconds = run_load(server.port, case)
    assert messages * len(Frames(case, False, 0).sent) == server.received
    assert messages >= case.connections * case.in_flight
    assert seconds > 0


@pytest.mark.parametrize("case", [Case(5, 64), Case(1, 64), Case(2, 64, in_flight=3)], ids=lambda case: case.name)
def test_no_time_is_one_message_in_flight_each(echo, case):
    assert run_load(echo().port, case, seconds=0)[0] == case.connections * case.in_flight


def wrong_byte(data):
    return data[:-1] + bytes((data[-1] ^ 1,))


@pytest.mark.parametrize("case", [Case(1, 64), Case(3, 64, in_flight=2), Case(1, 300_000)], ids=lambda case: case.name)
@pytest.mark.parametrize(
    "spoil",
    [wrong_byte, lambda data: b"x" + data, lambda data: data + data[:1] + b"?", lambda data: data[::-1]],
    ids=["a wrong byte", "a byte more", "bytes behind", "reversed"],
)
def test_a_wrong_echo_ends_it(echo, case, spoil):
    with pytest.raises(WrongEcho):
        run_load(echo(spoil=spoil).port, case)


def test_a_closed_connection_ends_it(echo):
    def fail(data):
        raise OSError

    with pytest.raises((WrongEcho, ConnectionError)):
        run_load(echo(spoil=fail).port, Case(2, 64))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("opcode", [1, 2])
def test_frames_are_those_of_the_rfc(size, opcode):
    """Against wsproto's parser."""
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import BytesMessage, TextMessage

    payload = payload_of(size)
    for kind, data in ((ConnectionType.SERVER, masked(payload, opcode)), (ConnectionType.CLIENT, frame(payload, opcode))):
        connection = Connection(kind)
        connection.receive_data(data)
        (event,) = connection.events()
        expected = TextMessage if opcode == 1 else BytesMessage
        assert isinstance(event, expected) and event.message_finished
        assert event.data == (payload.decode() if opcode == 1 else payload)


def test_parts_of_echoes_are_put_together():
    frames = Frames(Case(1, 200), True, 0)
    echo = frame(payload_of(200))
    peer = Peer(None, frames)
    counts = [peer.check(part) for part in (echo[:1], echo[1:], echo + echo + echo[:5], echo[5:])]
    assert counts == [0, 1, 2, 1]
    with pytest.raises(WrongEcho):
        peer.check(echo[1:])


# Real subjects, in processes of their own.


@pytest.fixture
def quiet():
    return lambda text: None


def small(names, **experiments):
    subjects = tuple(SUBJECTS[name] for name in names)
    assert not any(subject.missing for subject in subjects)
    return Plan(rounds=2, seconds=0.02, subjects=subjects, hold=0.5, **experiments)


@pytest.mark.limit(120)
def test_subjects_of_every_mode(quiet):
    cases = tuple(Case.parse(name) for name in ("1x64", "3x64x2", "1x70000-binary", "2x64-tls", "2x1000-deflate"))
    bench = Bench(small(["bare-threads", "ours-threads", "websockets-sync", "bare-asyncio", "ours-asyncio"], echo=cases), quiet)
    bench.run()
    assert bench.figures.failures == []
    assert bench.figures.subjects("echo", "1x64") == [
        "bare-threads", "ours-threads", "websockets-sync", "bare-asyncio", "ours-asyncio",
    ]  # fmt: skip
    assert bench.figures.subjects("echo", "2x64-tls") == ["bare-threads", "ours-threads", "websockets-sync", "bare-asyncio"]
    assert bench.figures.subjects("echo", "2x1000-deflate") == ["ours-threads", "websockets-sync", "ours-asyncio"]
    for key in bench.figures:
        spread = bench.figures.spread(key)
        assert 0 < spread.low <= spread.median <= spread.high


@pytest.mark.limit(120)
def test_the_other_experiments(quiet):
    plan = small(
        ["bare-threads", "ours-threads", "ours-asyncio"],
        idle=60, accepts=64, broadcast=20, scale={"threads": 30, "asyncio": 30}, clients=(Case.parse("1x64"),),
    )  # fmt: skip
    bench = Bench(plan, quiet)
    bench.run()
    assert bench.figures.failures == []
    assert bench.figures.subjects("broadcast", "20") == ["bare-threads", "ours-threads", "ours-asyncio"]
    assert bench.figures.subjects("idle", "60-deflate") == ["ours-threads", "ours-asyncio"]
    assert bench.figures.subjects("scale", "30") == ["ours-threads", "ours-asyncio"]
    assert {"Client", "AioClient"} <= set(bench.figures.subjects("clients", "1x64"))
    background = bench.figures.spread(Key("scale", "30", "ours-threads", "background"))
    assert background is not None and background.median == 1


@pytest.mark.limit(60)
def test_a_subject_that_fails_is_named_and_the_others_go_on(quiet, monkeypatch):
    broken = SUBJECTS["bare-threads"]
    plan = small(["bare-threads", "ours-threads"], echo=(Case(1, 64),))
    # It speaks no WebSocket, and is asked to.
    monkeypatch.setattr(type(broken), "speaks_websocket", True)
    bench = Bench(plan, quiet)
    bench.run()
    assert len(bench.figures.failures) == 1 and bench.figures.failures[0].startswith("bare-threads at 1x64")
    assert bench.figures.subjects("echo", "1x64") == ["ours-threads"]


def test_a_child_that_dies_tells_its_last_words():
    child = Child("the child", "client", "nobody", "1", "1x64")
    try:
        with pytest.raises(ChildFailed, match="KeyError: 'nobody'"):
            child.hear(20)
    finally:
        child.end()


def converse(first, then=b""):
    """What the server for clients answers to frames."""
    ours, theirs = socket.socketpair()
    with ours:
        thread = threading.Thread(target=Conversation(theirs).serve)
        thread.start()
        ours.settimeout(10)
        ours.sendall(b"GET /1x64 HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: a2V5\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += ours.recv(4096)
        assert accept_key("a2V5") in head
        ours.sendall(first)
        if then:
            ours.sendall(then)
        answer = b""
        try:
            ours.shutdown(socket.SHUT_WR)
            while data := ours.recv(4096):
                answer += data
        except OSError:
            pass  # it has hung up already
    thread.join(10)
    assert not thread.is_alive()
    return answer


def test_the_server_for_clients_answers_each_frame():
    sent, echo = masked(payload_of(64)), frame(payload_of(64))
    assert converse(sent) == echo
    assert converse(sent[:10], sent[10:]) == echo
    assert converse(sent + sent[:3], sent[3:]) == echo * 2


def test_the_server_for_clients_answers_nothing_wrong():
    assert converse(masked(b"?" * 64)) == b""
    assert converse(masked(payload_of(64), opcode=2)) == b""


# Cases and reports.


@pytest.mark.parametrize("case", dict.fromkeys((*FULL_CASES, *SHORT_CASES, *GROWTH_CASES)), ids=lambda case: case.name)
def test_a_case_has_one_name(case):
    assert Case.parse(case.name) == case


@pytest.mark.parametrize("name", ["", "64", "0x64", "1x0", "1x64x0", "1x64-binary-x", "1x64-tls-binary", "x64", "-1x64"])
def test_no_case(name):
    with pytest.raises(ValueError, match="is no case"):
        Case.parse(name)


def test_spread():
    assert Spread.of([3]) == Spread(3, 3, 3)
    assert Spread.of([1, 2, 3, 4, 100]) == Spread(2, 3, 4)
    assert Spread.of([4, 1, 3, 2]).median == 2.5


def figures_of(**cpu):
    figures = Figures()
    for subject, values in cpu.items():
        for number, value in enumerate(values):
            figures.add("echo", "1x64", subject.replace("_", "-"), number, cpu_us=value)
    return figures


def test_ratios_are_formed_within_rounds():
    figures = figures_of(ours_threads=[1, 20, 3], websockets_sync=[2, 10, 6])
    one, other = (Key("echo", "1x64", name) for name in ("ours-threads", "websockets-sync"))
    assert figures.ratio(one, other).median == 0.5  # 0.5, 2 and 0.5; the ratio of the medians is another
    assert figures.difference(one, other).median == -1
    assert figures.ratio(one, Key("echo", "1x64", "picows")) is None


def verdict(figures, what):
    (found,) = [one for one in goals.verdicts(figures) if one.what == what]
    return found


def test_goals_are_met_or_missed():
    figures = figures_of(ours_threads=[10.0], bare_threads=[7.0], websockets_sync=[30.0], simple_websocket_1=[9.0])
    assert verdict(figures, "ours-threads / bare-threads at 1x64").met
    assert not verdict(figures, "ours-threads / websockets-sync at 1x64").met  # 0.333 is more than 0.33
    assert not verdict(figures, "ours-threads / simple-websocket-1 at 1x64").met
    assert len(goals.verdicts(figures)) == 3  # and nothing about what was not measured
    text = report.goals_table(figures)
    assert "1 of 3 goals met" in text and text.count("MISS") == 2


def test_other_goals():
    figures = Figures()
    figures.add("idle", "300", "ours-gevent", kib=15.0)
    figures.add("idle", "300-deflate", "ours-gevent", kib=56.0)
    figures.add("growth", "10x64", "ours-gevent", cpu_us=10.0)
    figures.add("growth", "1000x64", "ours-gevent", cpu_us=12.0)
    figures.add("scale", "10000", "ours-gevent", idle_percent=6.0, background=1)
    figures.add("broadcast", "1000", "ours-gevent", cpu_us=15.0)
    figures.add("broadcast", "1000", "bare-gevent", cpu_us=12.0)
    met = {one.what: one.met for one in goals.verdicts(figures)}
    assert met == {
        "an idle connection of ours-gevent": True,
        "an idle connection of ours-gevent with compression, more than without": False,
        "ours-gevent at 1000x64 / at 10x64": True,
        "a broadcast of ours-gevent / bare-gevent to 1000 connections": True,
        "idle CPU of ours-gevent with 10000 connections and keepalive": False,
        "background threads and greenlets of ours-gevent with 10000 connections": True,
    }


def test_a_report_is_read_back(tmp_path):
    figures = figures_of(ours_threads=[10.0, 12.0], bare_threads=[8.0, 7.0])
    path = tmp_path / "deep" / "full.json"
    report.write(path, figures, {"python": "3"})
    content = json.loads(path.read_text())
    assert content["python"] == "3"
    assert content["goals"] == [
        {"goal": "ours-threads / bare-threads at 1x64", "at_most": 1.6, "unit": "x", "found": (10 / 8 + 12 / 7) / 2, "met": True}
    ]
    again = Figures()
    again.load(content["figures"])
    assert again.dump() == figures.dump()
    assert "ours-threads" in report.table(again)


def test_another_version_is_compared():
    figures = figures_of(ours_threads=[9.0, 18.0])
    for number, value in enumerate([10.0, 20.0]):
        figures.add("echo", "1x64", "ours-threads@before", number, cpu_us=value)
    assert "0.900" in report.progress_table(figures)


def test_every_goal_names_subjects_that_there_are():
    for ours, other, limit, cases in goals._DESIGN:
        assert SUBJECTS[ours].kind == "ours" and SUBJECTS[other].family == SUBJECTS[ours].family and limit > 0
        assert all(Case.parse(case) in FULL_CASES and Case.parse(case) in SHORT_CASES for case in cases)


def test_a_broadcast_is_one_frame():
    assert len(BROADCAST) == 4 + 1024 and len(TRIGGER) == 8


@pytest.mark.limit(60)
def test_the_command_measures_and_writes(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--only", "echo", "--cases", "1x64", "--subjects", "bare-threads,ours-threads"]
    options = ["--rounds", "1", "--seconds", "0.02", "--output", str(tmp_path)]
    run = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stderr
    assert "ours-threads / bare-threads at 1x64" in run.stdout
    content = json.loads((tmp_path / "short.json").read_text())
    assert {one["subject"] for one in content["figures"]} == {"bare-threads", "ours-threads"}
    assert content["failures"] == []
