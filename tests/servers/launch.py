"""Runs one web server with tests.servers.app: `python -m tests.servers.launch KIND PORT [CERTFILE KEYFILE] [OPTION ...]`.

A process of its own, which ends after a time limit whatever it is doing. gunicorn and `flask run` are started with the
command lines that people use.
"""

import signal
import sys

APP = "tests.servers.app"


def werkzeug(port, tls, options):
    from werkzeug.serving import run_simple

    from .app import app

    run_simple("127.0.0.1", port, app, threaded="--single" not in options, ssl_context=tls)


def flask(port, tls, options):
    from flask.cli import main

    files = ["--cert", tls[0], "--key", tls[1]] if tls else []
    sys.argv = ["flask", "--app", APP, "run", "--port", str(port), *files, *options]
    main()


def gunicorn(port, tls, options):
    from gunicorn.app.wsgiapp import run
    from gunicorn.config import KNOWN_SETTINGS

    files = ["--certfile", tls[0], "--keyfile", tls[1]] if tls else []
    # It would be shared with every other gunicorn of this machine.
    alone = [flag for setting in KNOWN_SETTINGS for flag in setting.cli or () if flag == "--no-control-socket"]
    sys.argv = ["gunicorn", "--bind", f"127.0.0.1:{port}", "--access-logfile", "-", *files, *alone, *options, f"{APP}:app"]
    run()


def pywsgi(port, tls, options):
    if "--patched" in options:
        from gevent import monkey

        monkey.patch_all()
    from gevent.pywsgi import WSGIServer

    from .app import app

    files = {"certfile": tls[0], "keyfile": tls[1]} if tls else {}
    WSGIServer(("127.0.0.1", port), app, **files).serve_forever()


def eventlet(port, tls, options):
    import eventlet

    if "--patched" in options:
        eventlet.monkey_patch()
    import eventlet.wsgi

    from .app import app

    listener = eventlet.listen(("127.0.0.1", port))
    if tls:
        listener = eventlet.wrap_ssl(listener, certfile=tls[0], keyfile=tls[1], server_side=True)
    eventlet.wsgi.server(listener, app)


def wsgiref(port, tls, options):
    """The standard library's server, which this project does not know."""
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIServer, make_server

    from .app import app

    class ThreadingServer(ThreadingMixIn, WSGIServer):
        daemon_threads = True

    make_server("127.0.0.1", port, app, server_class=ThreadingServer).serve_forever()


KINDS = {kind.__name__: kind for kind in (werkzeug, flask, gunicorn, pywsgi, eventlet, wsgiref)}


if __name__ == "__main__":
    kind, port, limit, certfile, keyfile, *options = sys.argv[1:]
    signal.alarm(int(limit))
    KINDS[kind](int(port), (certfile, keyfile) if certfile else None, options)
