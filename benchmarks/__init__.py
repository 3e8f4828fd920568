"""Benchmarks: what an echoed message costs the server's process, ours beside the bare socket and beside other libraries.

Run with ``make bench`` or ``python -m benchmarks --help``.  Every server (a *subject*) and the load generator are processes
of their own; they are told what to do, and tell what they measured, in lines of JSON over their standard streams.

===============  =====================================================================================
``__main__.py``  options, and the run: alternating rounds of every subject under every case
``cases.py``     what load is put on a subject
``accept.py``    the smallest accepting server on each backend
``subjects.py``  the registry of subjects: a new peer is one more entry and one more function
``bare.py``      subjects without a library: the limit of what can be reached
``ours.py``      subjects that are this library
``peers.py``     subjects that are other libraries
``subject.py``   the process that one subject runs in
``load.py``      the process of the load generator
``child.py``     such a process, seen from the run
``goals.py``     the ratios that must not be exceeded
``report.py``    medians and ratios, the table, the JSON file
===============  =====================================================================================
"""
