"""A half-open peer: one whose machine has gone without a word."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from typing import Any

#: Whether this system can drop a connection's packets without being asked for privileges.
CAN_DROP = sys.platform == "linux"

_SO_ATTACH_FILTER = 26


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


def drop_packets(sock: Any) -> None:
    """Have the kernel drop every packet that comes in for a socket: nothing is acknowledged, nothing answered, nothing ended.

    A packet filter of one instruction, "accept 0 bytes of it".
    """
    instruction = _Instruction(0x06, 0, 0, 0)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(instruction)))
