"""The simulator itself: it can be trusted only if it is deterministic, sees a deadlock, and behaves as sockets do."""

import errno
import socket

import pytest

from tests.simulation import preemption
from tests.simulation.machine import Machine
from tests.simulation.network import Network, Weather
from tests.simulation.plan import Plan
from tests.simulation.primitives import Event, Lock
from tests.simulation.program import Failure, Program
from tests.simulation.scheduler import Deadlock, Livelock, Scheduler


@pytest.fixture
def scheduler():
    scheduler = Scheduler(1, limit=10_000)
    yield scheduler
    scheduler.end()


def connected(scheduler, weather=None):
    machine = Machine(scheduler, Network(scheduler))
    one, other = machine.socket(), machine.socket()
    machine.network.connect(one, other, weather or Weather())
    return machine, one, other


@pytest.mark.parametrize("seed", [3, 14, 159])
def test_a_seed_is_the_same_program_every_time(seed):
    preemption.install()
    traces = []
    for _ in range(3):
        program = Program(Plan.of(seed), trace=True)
        try:
            program.run()
        except Failure as failure:
            traces.append((program.plan.describe(), program.scheduler.notes, program.scheduler.steps, str(failure)))
        else:
            traces.append((program.plan.describe(), program.scheduler.notes, program.scheduler.steps, ""))
    assert traces[0] == traces[1] == traces[2]
    assert traces[0][1]


def test_seeds_are_different_programs():
    assert len({Plan.of(seed).describe().partition(":")[2] for seed in range(100)}) == 100


def test_time_passes_only_when_nobody_can_run(scheduler):
    order = []
    for seconds in (3.0, 1.0, 2.0):
        scheduler.spawn(lambda seconds=seconds: (scheduler.sleep(seconds), order.append(seconds)))
    before = scheduler.now
    scheduler.sleep(10)
    assert order == [1.0, 2.0, 3.0]
    assert 10 <= scheduler.now - before < 10.01


def test_every_order_of_two_tasks_happens():
    orders = set()
    for seed in range(30):
        scheduler = Scheduler(seed)
        order = []
        for name in "ab":
            scheduler.spawn(lambda name=name, order=order: order.append(name))
        scheduler.sleep(1)
        orders.add("".join(order))
    assert orders == {"ab", "ba"}


def test_two_locks_in_two_orders_are_found_to_deadlock():
    found = 0
    for seed in range(50):
        scheduler = Scheduler(seed)
        first, second, done = Lock(scheduler), Lock(scheduler), [Event(scheduler), Event(scheduler)]

        def take(one, other, end):
            with one, other:
                pass
            end.set()

        scheduler.spawn(lambda: take(first, second, done[0]), "forwards")  # noqa: B023
        scheduler.spawn(lambda: take(second, first, done[1]), "backwards")  # noqa: B023
        try:
            for event in done:
                event.wait()
        except Deadlock as deadlock:
            found += 1
            assert "forwards" in str(deadlock) and "a lock that backwards holds" in str(deadlock)
        scheduler.end()
    assert 0 < found < 50


def test_running_in_circles_is_seen(scheduler):
    def circle():
        while True:
            scheduler.pause()

    scheduler.spawn(circle)
    with pytest.raises(Livelock):
        scheduler.sleep(5)


def test_an_exception_from_outside_is_raised_where_a_task_waits(scheduler):
    event, seen = Event(scheduler), []

    def wait():
        try:
            event.wait()
        except KeyboardInterrupt:
            seen.append(scheduler.now)

    task = scheduler.spawn(wait)
    scheduler.at(scheduler.now + 1, lambda: scheduler.throw(task, KeyboardInterrupt()))
    scheduler.sleep(2)
    assert len(seen) == 1 and task.finished and not scheduler.crashed


def test_a_lock_that_is_waited_for_with_a_timeout(scheduler):
    lock = Lock(scheduler)
    assert lock.acquire() and lock.locked()
    before = scheduler.now
    assert not lock.acquire(timeout=2)
    assert 2 <= scheduler.now - before < 2.01
    scheduler.at(scheduler.now + 1, lambda: scheduler.spawn(lock.release))
    assert lock.acquire(timeout=2)
    lock.release()
    with pytest.raises(RuntimeError):
        lock.release()


def test_a_stream_arrives_whole_and_in_order_whatever_the_network_does(scheduler):
    _, one, other = connected(scheduler, Weather(capacity=100, cut=0.5, split=0.5, delay=0.1, hold=0.05))
    data = bytes(range(256)) * 8
    scheduler.spawn(lambda: (one.sendall(data), one.shutdown(socket.SHUT_WR)))
    pieces = []
    while piece := other.recv(4096):
        pieces.append(piece)
    assert b"".join(pieces) == data and len(pieces) > 20


def test_a_peer_that_reads_nothing_takes_so_much_and_no_more(scheduler):
    _, one, _ = connected(scheduler, Weather(capacity=100))
    one.setblocking(False)
    assert one.send(bytes(1000)) == 100
    with pytest.raises(BlockingIOError):
        one.send(b"x")


def test_resets_and_ends(scheduler):
    _, one, other = connected(scheduler)
    one.sendall(b"unread")
    other.close()  # with data that nobody has read
    with pytest.raises(ConnectionResetError):
        one.recv(10)
    assert one.recv(10) == b""
    with pytest.raises(BrokenPipeError):
        one.send(b"x")
    _, one, other = connected(scheduler)
    one.sendall(b"last")
    one.close()
    assert other.recv(10) == b"last" and other.recv(10) == b""
    assert other.send(b"to nobody") == 9
    with pytest.raises(OSError):
        other.send(b"again")


def test_shutdown_wakes_a_reader_and_close_does_not(scheduler):
    _, one, _ = connected(scheduler)
    reading = scheduler.spawn(lambda: one.recv(1))
    scheduler.sleep(1)
    one.shutdown(socket.SHUT_RDWR)
    scheduler.sleep(1)
    assert reading.finished
    _, one, _ = connected(scheduler)
    reading = scheduler.spawn(lambda: one.recv(1))
    scheduler.sleep(1)
    one.close()
    scheduler.sleep(1)
    assert not reading.finished


def test_a_descriptor_that_is_closed_is_forgotten_by_epoll_and_used_again(scheduler):
    machine, one, other = connected(scheduler)
    selector = machine.backend.selector_class()
    selector.register(one, 1, "one")
    fd = one.fileno()
    one.close()
    assert machine.socket().fileno() == fd
    assert selector.select(0) == []
    assert fd in selector.get_map()  # the library's own record does not know
    selector.close()
    assert other.fileno() >= 0


def test_nobody_listens(scheduler):
    machine = Machine(scheduler, Network(scheduler))
    sock = machine.socket()
    assert sock.connect_ex(("host", 9)) == errno.EINPROGRESS
    assert sock.wait_until(lambda: sock.writable, 1.0, "an answer")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_preemption_reaches_the_statements_of_the_package_and_can_be_taken_out():
    from simple_websocket.link import Link

    preemption.install()
    assert "__checkpoint__" in Link.receive.__code__.co_names
    preemption.restore()
    try:
        assert "__checkpoint__" not in Link.receive.__code__.co_names
    finally:
        preemption.install()
