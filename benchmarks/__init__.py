"""Benchmarks: what a message costs the server's process, ours beside the bare socket and beside other libraries; and memory,
broadcasts, the clients, many connections.

Run with ``make bench``, ``make bench-full`` or ``python -m benchmarks --help``.  Every server (a *subject*), every client and the
load generator are processes of their own; they are told what to do, and tell what they have done, in lines of JSON over their
standard streams.  CPU and memory are read from outside, and only those of the measured process count.

====================  ================================================================================
``__main__.py``       options, and the run
``bench.py``          the experiments: alternating rounds of every subject under every case
``cases.py``          what load is put on a subject
``subjects.py``       the registry of subjects: a new peer is one more entry and one more function
``subject.py``        the process that one subject runs in; ``orders.py``: what it is told
``accept.py``         the smallest accepting server on each backend, ``request.py`` what it reads first
``bare.py``           subjects without a library: the limit of what can be reached
``ours.py``           subjects that are this library, ``wsgi_servers.py`` under web servers
``peers.py``          subjects that are other libraries
``aio.py``            those on asyncio, ours and others; ``asgi.py`` those under uvicorn
``load.py``           the process of the load generator; ``opening.py``, ``peer.py``, ``wire.py``: its parts
``client.py``         the process of a client that is measured; ``canned.py``: the server for it
``child.py``          such a process, seen from the run; ``process.py``: what the system says of it
``figures.py``        medians, quartiles and ratios
``goals.py``          what must not be exceeded
``report.py``         the tables and the JSON file, ``plots.py`` the plots
====================  ================================================================================
"""
