"""A Django view that echoes what it gets over a WebSocket; a project's views do the same.

    python examples/django/server.py
    gunicorn --chdir examples/django --threads 100 --bind 127.0.0.1:5000 server:application
    gunicorn --chdir examples/django -k gevent --bind 127.0.0.1:5000 server:application

Talk to it with examples/client/client.py.
"""

import argparse
import os
import sys

from django.conf import settings
from django.core.management.utils import get_random_secret_key
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from simple_websocket import ConnectionClosed, ConnectionError, Server


def echo(request):
    try:
        ws = Server.accept(request.META)  # the WSGI environ
    except ConnectionError as error:  # no WebSocket handshake: nothing is written yet, so answer as usual
        return HttpResponse(str(error), status=error.status_code, headers=dict(error.headers))
    try:
        while True:
            ws.send(ws.receive())
    except ConnectionClosed:
        pass
    return HttpResponse()  # Django wants a response; nothing of it reaches the client


urlpatterns = [path("echo", echo)]

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY=get_random_secret_key(), ALLOWED_HOSTS=["localhost", "127.0.0.1"])
application = get_wsgi_application()

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo over WebSocket, with Django under Gunicorn.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    where = ["--chdir", os.path.dirname(os.path.abspath(__file__)), "--bind", f"{options.host}:{options.port}"]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *where, "--threads", "100", "server:application"])
