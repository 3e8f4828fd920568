"""Every case that the simulation can run: on three worlds, with its own clock and network.

What it cannot, and why:

* cases with the mark ``tls``, and those of ``dialing_tls.py``, ``renegotiating.py``, ``secure.py`` and ``tls.py``: OpenSSL is no
  primitive that a backend supplies;
* cases that start another process, fork, or have a process for a peer: nothing in there would be on this scheduler;
* cases of `serve`: listening there asks for more of a socket than the simulated ones have;
* cases that have the kernel interrupt system calls or drop packets, or cut TCP with sockets of its own;
* cases of ``limits.py``: floods for a time, and how much memory and time they cost, which here is neither real nor scarce;
* cases about descriptors that are closed behind the back of their object, and about addresses that the kernel has to refuse;
* a case whose connection fails as none should: a log with that in it is a failure here;
* cases about which of the three presets is found from an injected class, a socket or what is monkey-patched: this one is
  none of them and is always passed as a record.

Of the worlds, those with a rough network are no place for cases that rely on one write arriving at once.
"""

import inspect

from tests.cases import (
    dialing_tls,
    forking,
    independent,
    limits,
    renegotiating,
    secure,
    serving,
    serving_addresses,
    serving_faults,
    serving_http,
    serving_limits,
    serving_stop,
    shortage,
    tls,
)
from tests.support.matrix import all_cases, written_cases

NEEDS_TLS = {name for module in (dialing_tls, renegotiating, secure, tls) for name in vars(module) if name.startswith("test_")}
NEEDS_PROCESSES = {
    name for module in (forking, independent, shortage) for name in vars(module) if name.startswith("test_")
} | {
    "test_a_program_with_an_open_client_exits",
    "test_ctrl_c_ends_a_program_that_receives",
    "test_the_modules_of_other_families_are_not_imported",
}
IS_ABOUT_PRESETS = {
    "test_the_backend_of_this_folder_is_the_one_in_use",
    "test_injected_classes_are_really_used",
    "test_one_injected_class_is_enough_to_find_the_family",
    "test_a_familys_own_classes_can_be_injected",
    "test_the_socket_is_enough_to_find_the_family",
}
LISTENS = {
    name
    for module in (serving, serving_addresses, serving_faults, serving_http, serving_limits, serving_stop)
    for name in vars(module)
    if name.startswith("test_")
} | {"test_a_certificate_that_is_larger_than_the_socket"}
NEEDS_THE_KERNEL = {
    "test_a_half_open_peer_is_noticed_by_the_keepalive",
    "test_a_half_open_peer_is_not_waited_for",
    "test_signals_all_the_time",
    "test_tcp_cut_at_every_byte",
    "test_a_family_of_addresses_that_this_machine_does_not_have",
    "test_an_address_that_is_none_leaves_nothing",
    "test_a_descriptor_that_is_closed_before_the_keeper_has_it",
    "test_a_descriptor_that_is_closed_and_comes_back_as_another_connection",
}
FAILS = {"test_one_connections_fault_does_not_end_the_care_for_the_others"}
MEASURES = {name for name in vars(limits) if name.startswith("test_")}
LEFT_OUT = NEEDS_TLS | NEEDS_PROCESSES | NEEDS_THE_KERNEL | MEASURES | IS_ABOUT_PRESETS | LISTENS | FAILS

NEEDS_A_FAIR_NETWORK = {
    "test_requests_that_are_no_handshake": "reads the answer at once",
    "test_another_version": "reads the answer at once",
    "test_an_ordinary_request": "reads the answer at once",
    "test_an_allowed_origin": "reads the answer at once",
    "test_no_origin": "reads the answer at once",
    "test_the_application_refuses": "reads the answer at once",
    "test_a_header_that_cannot_be_sent": "reads the answer at once",
    "test_an_address_that_does_not_answer_leaves_time_for_the_next": "fills a backlog and relies on the order",
}

globals().update({name: case for name, case in all_cases().items() if name not in LEFT_OUT})


def test_every_case_is_run_here_or_left_out_for_a_reason():
    here = {name for name, value in globals().items() if name.startswith("test_") and inspect.isfunction(value)}
    assert here - {"test_every_case_is_run_here_or_left_out_for_a_reason"} == written_cases() - LEFT_OUT
    assert LEFT_OUT <= written_cases() and NEEDS_A_FAIR_NETWORK.keys() <= written_cases()
