"""Runs one web server with tests.servers.app: `python -m tests.servers.launch KIND PORT [CERTFILE KEYFILE] [OPTION ...]`.

A process of its own, which ends after a time limit whatever it is doing. gunicorn and `flask run` are started with the
command lines that people use.
"""

import os
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
    import ssl
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    from .app import app

    class ThreadingServer(ThreadingMixIn, WSGIServer):
        daemon_threads = "--joined" not in options

        def get_request(self):
            sock, address = super().get_request()
            return (context.wrap_socket(sock, server_side=True) if context else sock), address

    class Handler(WSGIRequestHandler):
        if "--hidden" in options:
            # A server that this project does not know.
            def get_environ(self):
                return {**super().get_environ(), "SERVER_SOFTWARE": "Hidden/1.0", "own.socket": self.connection}

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    application = hide_input(app) if "--hidden" in options else app
    make_server("127.0.0.1", port, application, ThreadingServer, Handler).serve_forever()


def hide_input(app):
    import io

    def application(environ, start_response):
        environ["wsgi.input"] = io.BytesIO()
        return app(environ, start_response)

    return application


def waitress(port, tls, options):
    from waitress import serve

    from .app import app

    serve(app, host="127.0.0.1", port=port, threads=16)


def cheroot(port, tls, options):
    from cheroot.ssl.builtin import BuiltinSSLAdapter
    from cheroot.wsgi import Server

    from .app import app

    server = Server(("127.0.0.1", port), app, numthreads=16)
    if tls:
        server.ssl_adapter = BuiltinSSLAdapter(*tls)
    server.safe_start()


def uwsgi(port, tls, options):
    """uWSGI runs the application in its own program, with this Python's packages."""
    loop = ["--gevent", "32"] if "--gevent" in options else ["--enable-threads", "--threads", "16"]
    patch = ["--gevent-monkey-patch"] if "--patched" in options else []
    others = [option for option in options if option not in ("--gevent", "--patched")]
    settings = os.environ.get("COVERAGE_PROCESS_START")
    if settings and "--gevent" not in options:
        os.environ["COVERAGE_PROCESS_START"] = os.path.join(os.path.dirname(settings), "threads.ini")  # see branch_coverage.py
    program = os.path.join(os.path.dirname(sys.executable), "uwsgi")
    command = ["--http-socket", f"127.0.0.1:{port}", "--master", "--die-on-term", "--need-app", "--module", f"{APP}:app"]
    os.execv(program, [program, *command, "--virtualenv", sys.prefix, "--pythonpath", os.getcwd(), *loop, *patch, *others])


# Servers that keep their sockets to themselves.


def granian(port, tls, options):
    from granian import Granian

    Granian(f"{APP}:app", address="127.0.0.1", port=port, interface="wsgi").serve()


SERVERS = (werkzeug, flask, gunicorn, pywsgi, eventlet, wsgiref, waitress, cheroot, uwsgi, granian)
KINDS = {kind.__name__: kind for kind in SERVERS}


if __name__ == "__main__":
    kind, port, limit, certfile, keyfile, *options = sys.argv[1:]
    signal.alarm(int(limit))
    KINDS[kind](int(port), (certfile, keyfile) if certfile else None, options)
