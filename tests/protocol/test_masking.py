"""masking.py: RFC 6455 section 5.3."""

import importlib.util
import os
import subprocess
import sys

import pytest

from simple_websocket.protocol import masking

from .wire import KEY, xor


def test_section_5_7_masked_hello():
    assert masking.apply_mask(b"Hello", KEY) == bytes.fromhex("7f9f4d5158")


# Both ways of masking and the border between them, at every remainder of four.
@pytest.mark.parametrize("size", [*range(10), *range(508, 518), 1021, 4096, 65537])
@pytest.mark.parametrize("key", [KEY, b"\0\0\0\0", b"\xff\x00\x80\x01"], ids=bytes.hex)
def test_every_octet_is_xored_with_octet_i_mod_4_of_the_key(size, key):
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    once = masking.apply_mask(payload, key)
    assert once == xor(payload, key)
    assert masking.apply_mask(once, key) == payload


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 511, 512, 4096, 65535, 65536, 65537])
def test_unmasking_in_place_of_a_slice(size):
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    data = b"\x82\xff" + KEY + xor(payload, KEY) + b"next frame"
    assert masking.unmask(data, 6, 6 + size) == payload


@pytest.mark.parametrize("key", [KEY, b""], ids=["masked", "plain"])
@pytest.mark.parametrize("kind", [str, bytes])
@pytest.mark.parametrize("size", [0, 3, 262_144, 600_001])
def test_a_large_payload_is_made_part_by_part(size, kind, key):
    data = (b"0123456789abc" * (size // 13 + 1))[:size]
    payload = masking.LargePayload(data if kind is bytes else data.decode(), key)
    parts = []
    while len(payload):
        parts.append(bytes(payload.take(65536)))
    assert b"".join(parts) == (xor(data, key) if key else data)


def test_which_of_both_runs():
    """The suite runs twice, so this says that one run is in C, where that is built, and the other in Python."""
    built = importlib.util.find_spec("simple_websocket.protocol._speedups") is not None
    in_c = built and not os.environ.get("SIMPLE_WEBSOCKET_PURE")
    assert isinstance(masking.apply_mask, type(len)) == in_c


@pytest.mark.parametrize("arguments", [(b"x", b"abc"), ("x", b"abcd"), (b"x", "abcd"), (b"x",)])
def test_wrong_arguments_crash_nothing(arguments):
    if isinstance(masking.apply_mask, type(len)):  # in C
        with pytest.raises((TypeError, ValueError)):
            masking.apply_mask(*arguments)
        for start, end in ((3, 4), (4, 99), (6, 5), (-1, 4)):
            with pytest.raises(ValueError):
                masking.unmask(b"12345678", start, end)


def test_keys_are_four_bytes_and_do_not_repeat():
    keys = [masking.new_key() for _ in range(3000)]  # several draws
    assert {len(key) for key in keys} == {4}
    # 3000 of 2**32 keys: one pair alike happens once in a thousand runs, four pairs once in 10**13.
    assert len(set(keys)) > 2996


def test_keys_come_from_the_operating_system(monkeypatch):
    monkeypatch.setattr(masking, "_keys", [])
    monkeypatch.setattr(os, "urandom", lambda size: bytes(i // 4 % 256 for i in range(size)))
    keys = [masking.new_key() for _ in range(256)]
    assert sorted(keys) == [bytes([i]) * 4 for i in range(256)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_use_its_parents_keys():
    program = """
import os
from simple_websocket.protocol.masking import new_key
new_key()
read, write = os.pipe()
if not os.fork():
    os.write(write, b"".join(new_key() for _ in range(100)))
    os._exit(0)
os.wait()
childs = os.read(read, 4096)
ours = {new_key() for _ in range(100)}
same = ours & {childs[i : i + 4] for i in range(0, len(childs), 4)}
assert len(childs) == 400
assert len(same) < 3, f"{len(same)} keys in common"
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_where_there_is_no_fork(monkeypatch):
    """The module as Windows gets it: nothing to register, and the same keys and masks."""
    monkeypatch.delattr(os, "register_at_fork")
    spec = importlib.util.spec_from_file_location("masking_without_fork", masking.__file__)
    there = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(there)
    assert there.apply_mask(b"Hello", KEY) == masking.apply_mask(b"Hello", KEY)
    assert len({there.new_key() for _ in range(600)}) > 590
