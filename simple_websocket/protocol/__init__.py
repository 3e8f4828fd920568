"""The sans-I/O core: bytes in, events out, and time is an argument.

Nothing in here imports socket, ssl, select, time, threading or asyncio; the threads, greenlets and event loops around it do.

==================  ==========================================================
``connection.py``   `Protocol`, the state machine that every shell drives
``handshake.py``    the opening handshake of both roles, over wsproto
``frames.py``       the wire format of RFC 6455 section 5, and nothing else
``messages.py``     fragments become messages: UTF-8, limits, inflation
``deflate.py``      permessage-deflate, RFC 7692
``clock.py``        keepalive: arithmetic on a given ``now``
``masking.py``      the XOR of RFC 6455 section 5.3
``_speedups.c``     what is faster in C, where there is a compiler
==================  ==========================================================
"""
