"""clock.py: keepalive, arithmetic on a given time."""

import math

import pytest

from simple_websocket.protocol.clock import Keepalive

QUIET, PING, DEAD = (False, False), (True, False), (False, True)


def run(keepalive, until, signs=lambda now: 0, late=0.0):
    """Wake the keepalive at each of its deadlines (`late` seconds after it); return [(time, what it decided)]."""
    told = []
    now = -math.inf
    while True:
        deadline = keepalive.deadline
        assert deadline + late > now, "a deadline that does not move on would spin"
        now = deadline + late
        if now > until:
            return told
        decided = keepalive.on_deadline(now, signs(now))
        if decided != QUIET:
            told.append((now, decided))
        if decided == DEAD:
            return told


def test_first_ping_after_one_interval():
    keepalive = Keepalive(10, 3, 100.0)
    assert keepalive.deadline == 110
    assert keepalive.on_deadline(109.9, 0) == QUIET
    assert keepalive.on_deadline(110, 0) == PING
    assert keepalive.deadline == 113


def test_silent_peer_is_dead_one_timeout_after_the_ping():
    assert run(Keepalive(10, 3, 0.0), 1000) == [(10, PING), (13, DEAD)]


def test_not_dead_before_the_timeout():
    keepalive = Keepalive(10, 3, 0.0)
    keepalive.on_deadline(10, 5)
    assert keepalive.on_deadline(12.999, 5) == QUIET
    assert keepalive.on_deadline(13, 5) == DEAD


def test_any_sign_of_life_answers_the_ping():
    keepalive = Keepalive(10, 3, 0.0)
    keepalive.on_deadline(10, 5)
    assert keepalive.on_deadline(13, 6) == QUIET
    assert keepalive.deadline == 20
    assert keepalive.on_deadline(20, 6) == PING
    assert keepalive.on_deadline(23, 6) == DEAD


def test_signs_before_the_ping_do_not_answer_it():
    keepalive = Keepalive(10, 3, 0.0)
    assert keepalive.on_deadline(10, 1000) == PING
    assert keepalive.on_deadline(13, 1000) == DEAD


def test_lively_peer_is_pinged_every_interval_for_ever():
    told = run(Keepalive(10, 3, 0.0), 200, signs=lambda now: int(now))
    assert told == [(10.0 * n, PING) for n in range(1, 21)]


def test_slow_peer_that_answers_within_the_timeout_lives():
    # Answers 2.9 s after each ping: counts at 12.9, 22.9, ...
    told = run(Keepalive(10, 3, 0.0), 100, signs=lambda now: int((now - 2.9) // 10) if now > 2.9 else 0)
    assert told == [(10.0 * n, PING) for n in range(1, 11)]


def test_slow_peer_with_a_timeout_of_several_intervals_lives():
    # Round trip of 25 s, pings every 10 s: between signs of life there are always pings that nobody answered yet.
    told = run(Keepalive(10, 30, 0.0), 500, signs=lambda now: max(0, int((now - 25) // 10)))
    assert told == [(10.0 * n, PING) for n in range(1, 51)]


def test_timeout_longer_than_the_interval_counts_from_the_first_unanswered_ping():
    assert run(Keepalive(10, 25, 0.0), 1000) == [(10, PING), (20, PING), (30, PING), (35, DEAD)]


def test_timeout_longer_than_the_interval_starts_again_after_a_sign():
    told = run(Keepalive(10, 25, 0.0), 1000, signs=lambda now: 1 if now >= 12 else 0)
    assert told == [(10, PING), (20, PING), (30, PING), (40, PING), (45, DEAD)]


def test_timeout_equal_to_the_interval():
    assert run(Keepalive(10, 10, 0.0), 1000) == [(10, PING), (20, DEAD)]
    assert run(Keepalive(10, 10, 0.0), 50, signs=lambda now: int(now)) == [(10.0 * n, PING) for n in range(1, 6)]


def test_pings_do_not_drift_when_the_keeper_is_late():
    told = run(Keepalive(10, 3, 0.0), 101, signs=lambda now: int(now), late=0.25)
    assert [now for now, _ in told] == [10 * n + 0.25 for n in range(1, 11)]


def test_after_a_long_pause_of_the_process_one_ping_and_not_one_per_missed_interval():
    keepalive = Keepalive(10, 3, 0.0)
    assert keepalive.on_deadline(10, 0) == PING
    assert keepalive.on_deadline(13, 1) == QUIET
    assert keepalive.on_deadline(3600, 1) == PING
    assert keepalive.deadline == 3603, "the peer has its whole timeout, counted from now"
    assert keepalive.on_deadline(3602, 1) == QUIET
    assert keepalive.on_deadline(3603, 2) == QUIET
    assert keepalive.deadline == 3610


def test_pause_between_ping_and_timeout_with_a_sign_read_meanwhile():
    keepalive = Keepalive(10, 3, 0.0)
    assert keepalive.on_deadline(10, 0) == PING
    assert keepalive.on_deadline(3600, 1) == PING  # the sign counts, and the next ping is due
    assert keepalive.on_deadline(3601, 1) == QUIET


def test_pause_between_ping_and_timeout_without_a_sign():
    keepalive = Keepalive(10, 3, 0.0)
    assert keepalive.on_deadline(10, 0) == PING
    # The process was stopped: what the peer sent meanwhile has not been read.
    assert keepalive.on_deadline(3600, 0) == PING
    assert keepalive.deadline == 3603
    assert keepalive.on_deadline(3603, 0) == DEAD


def test_pause_of_exactly_a_number_of_intervals():
    keepalive = Keepalive(10, 3, 0.0)
    assert keepalive.on_deadline(50, 0) == PING
    assert keepalive.on_deadline(51, 1) == QUIET
    assert keepalive.deadline == 60


@pytest.mark.parametrize("interval, timeout", [(0.1, 0.05), (25, 25), (1, 3600), (3600, 1)])
@pytest.mark.parametrize("start", [0.0, 1e-3, 1e9])
def test_deadline_is_when_it_acts(interval, timeout, start):
    """Just before the deadline nothing happens, at the deadline something does."""
    keepalive = Keepalive(interval, timeout, start)
    for _ in range(50):
        deadline = keepalive.deadline
        assert keepalive.on_deadline(math.nextafter(deadline, 0), 0) == QUIET
        decided = keepalive.on_deadline(deadline, 0)
        assert decided != QUIET
        if decided == DEAD:
            return
    assert timeout > 50 * interval, "a silent peer was not noticed"
