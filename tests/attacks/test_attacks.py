"""Real server processes under attack: what each attack may cost in memory, and that everybody else is served meanwhile.

How fast the others are served is measured by ``make soak``; here they must be served at all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from demo.process import ROOT, ServerProcess
from simple_websocket import Client
from tests.support.attacks import ATTACKS
from tests.support.memory import MIB, forget, resident

from .attacked import ENVIRONMENT, KINDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

SECONDS = 0.7
TIME_LIMIT = 300
# What a server process may take besides what its connections may hold, as documented.
ALLOWANCE = 16 * MIB
PATIENCE = 10.0


@pytest.fixture(scope="module", params=KINDS)
def attacked(request, tmp_path_factory):
    kind = request.param
    log = tmp_path_factory.mktemp("attacked") / f"{kind}.log"
    command = ["-m", "tests.attacks.attacked", kind]
    with ServerProcess(kind, lambda port: [*command, str(port), str(TIME_LIMIT)], log, ENVIRONMENT) as server:
        # What is made once is made before anything is measured: threads, zlib, the keeper.
        for path in ("/echo", "/deaf"):
            with Client.connect(server.url(path)) as ws:
                ws.send("x" * 1000)
                assert path == "/deaf" or ws.receive(PATIENCE) == "x" * 1000
        yield server


def state(server):
    connection = server.http(PATIENCE)
    connection.request("GET", "/state", headers={"Connection": "close"})
    try:
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def settle(server, expected):
    """Wait until the server holds no more connections than it did; return what it holds."""
    deadline = time.monotonic() + PATIENCE
    while (now := state(server))["connections"] > expected["connections"] and time.monotonic() < deadline:
        time.sleep(0.1)
    return now


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack(attacked, name):
    attack = ATTACKS[name]
    before = settle(attacked, {"connections": 0})
    clients = [Client.connect(attacked.url("/echo")) for _ in range(3)]
    try:
        forget(attacked.pid)
        usual, _ = resident(attacked.pid)
        command = [sys.executable, "-m", "tests.support.attacks", name, str(attacked.port), str(SECONDS)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as attacking:
            echoes = 0
            while attacking.poll() is None:
                for number, ws in enumerate(clients):
                    ws.send(f"{number} {echoes}")
                    assert ws.receive(PATIENCE) == f"{number} {echoes}"
                echoes += 1
                time.sleep(0.02)
            counts = json.loads(attacking.stdout.read())
        _, peak = resident(attacked.pid)
        bound = ALLOWANCE + attack.connections * attack.holds
        assert peak - usual <= bound, f"{(peak - usual) / MIB:.1f} MiB, allowed are {bound / MIB:.1f}; {counts}"
        assert counts["connections"] >= attack.connections, counts  # it was an attack
        if attack.ended:
            assert counts.get("ended"), counts
        else:
            assert attack.resets or not counts.get("ended"), counts
        assert echoes
    finally:
        for ws in clients:
            ws.close()
    after = settle(attacked, before)
    assert ", in application\n" not in attacked.read_log()  # no traceback from there: it must not end by itself
    assert after["connections"] <= before["connections"], (before, after)
    assert after["descriptors"] <= before["descriptors"] + 3, (before, after)  # a keeper that is about to end has three
