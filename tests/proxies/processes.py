"""The processes behind and in front: gunicorn at a fixed address, nginx and HAProxy with the documented configuration."""

from __future__ import annotations

import getpass
import grp
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from demo.process import ROOT, ServerProcess, free_port
from tests.servers.conftest import Certificates

KINDS = ["nginx", "haproxy"]

TIME_LIMIT = 300  # seconds; an application that nobody stops ends by itself after that

USUAL_START = 1.5  # seconds within which an application starts on a machine that has nothing else to do

CONFIGURATIONS = ROOT / "docs" / "proxies"

# What docs/proxies/ leaves to the http block of /etc/nginx/nginx.conf, for an nginx that touches nothing of the machine.
NGINX_FRAME = """\
daemon off;
{user}
pid "{folder}/nginx.pid";
error_log stderr notice;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    include "{folder}/site.conf";
}}
"""


class NoProgram(Exception):
    """nginx or HAProxy is not here; the message says what to do."""


def program(name: str) -> str:
    """Path of nginx or HAProxy, the machine's or the one that `make test` has downloaded."""
    downloaded = Path(sys.prefix) / "debian" / "bin" / name
    path = str(downloaded) if downloaded.exists() else shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        raise NoProgram(
            f"There is no {name} on this machine, and none in {downloaded.parent}, where `make test` downloads it to. "
            f"It says at the beginning why it could not. Or install it: apt-get install {name}"
        )
    return path


class Application(ServerProcess):
    """gunicorn with tests.proxies.app.

    :param address: where it listens besides `port`, "unix:PATH": a place that stays the same when it is started again.
    :param ledger: file for the route /ledger.
    """

    def __init__(self, folder: Path, options: Sequence[str], address: str = "", ledger: Path | None = None) -> None:
        #: How much longer than usual it took to start: a machine that is busy with something else makes clients wait.
        self.slowness = 1.0
        self._also = address
        self._options = options
        environment = {} if ledger is None else {"LEDGER": str(ledger)}
        super().__init__(f"gunicorn {' '.join(options)}", self._arguments, folder / "gunicorn.log", environment)

    @property
    def address(self) -> str:
        """Where a proxy finds it."""
        return self._also or f"127.0.0.1:{self.port}"

    def _arguments(self, port: int) -> list[str]:
        binds = ["--bind", f"127.0.0.1:{port}"] + (["--bind", self._also] if self._also else [])
        return ["-m", "tests.proxies.launch", "gunicorn", str(TIME_LIMIT), *binds, *self._options]

    def start(self) -> None:
        started = time.monotonic()
        super().start()
        self.slowness = max(1.0, (time.monotonic() - started) / USUAL_START)

    def shut_down(self, within: float) -> None:
        """Tell it to stop and wait until it has."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(within)
        self.stop()

    def tracebacks(self) -> list[str]:
        """Those in its log, each with what it was raised from, without one that is gunicorn's own.

        Its gevent worker closes the listener when it is told to go, and then asks it for its name, for a request that it
        has just accepted.
        """
        blocks = re.findall(r"^Traceback .*\n(?:^[ +].*\n|^\n)*^.*$", self.read_log(), re.MULTILINE)
        return [block for block in blocks if "listener_name = listener.getsockname()" not in block]

    def kill(self) -> None:
        """End the master and its workers at once, as a machine does that has no memory left."""
        os.killpg(self.pid, signal.SIGKILL)
        self.stop()


class Proxy(ServerProcess):
    """nginx or HAProxy, listening for ws:// at `port` and for wss:// at `tls_port`.

    :param addresses: where the application listens, one address or more.
    :param idle: its idle timeout, in seconds.
    """

    def __init__(
        self, kind: str, folder: Path, addresses: Sequence[str], certificates: Certificates, idle: float | None = None
    ) -> None:
        self.kind = kind
        self.certificates = certificates
        self.tls_port = 0
        self._program = program(kind)
        self._folder = folder
        self._addresses = addresses
        self._idle = idle
        super().__init__(kind, self._arguments, folder / f"{kind}.log")

    def address(self, tls: bool) -> tuple[str, int]:
        """Scheme and port."""
        return ("wss", self.tls_port) if tls else ("ws", self.port)

    def _arguments(self, port: int) -> list[str]:
        self.tls_port = free_port()
        configure = {"nginx": self._configure_nginx, "haproxy": self._configure_haproxy}[self.kind]
        return ["-m", "tests.proxies.launch", "program", self._program, *configure(port)]

    def _configure_nginx(self, port: int) -> list[str]:
        certificate, key = self.certificates.files
        values = {
            "    server 127.0.0.1:8000 max_fails=0;\n": "".join(f"    server {a} max_fails=0;\n" for a in self._addresses),
            "listen 80;": f"listen 127.0.0.1:{port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.tls_port} ssl;",
            "/etc/ssl/example.org/certificate.pem": certificate,
            "/etc/ssl/example.org/key.pem": key,
        }
        if self._idle:
            values |= {f"proxy_{way}_timeout 60s;": f"proxy_{way}_timeout {1000 * self._idle:.0f}ms;" for way in ("read", "send")}
        (self._folder / "site.conf").write_text(filled("nginx.conf", values))
        # The first process is root's where the tests are, and its workers would be nobody's, who may not read our files.
        user = f"user {getpass.getuser()} {grp.getgrgid(os.getegid()).gr_name};" if os.geteuid() == 0 else ""
        main = self._folder / "nginx.conf"
        main.write_text(NGINX_FRAME.format(folder=self._folder, user=user))
        return ["-c", str(main), "-p", str(self._folder)]

    def _configure_haproxy(self, port: int) -> list[str]:
        pem = self._folder / "example.org.pem"
        pem.write_text("".join(Path(file).read_text() for file in self.certificates.files))
        servers = [f"    server app{n} {a.replace('unix:', 'unix@')}\n" for n, a in enumerate(self._addresses, 1)]
        values = {
            "    server app1 127.0.0.1:8000\n": "".join(servers),
            "bind :80\n": f"bind 127.0.0.1:{port}\n",
            "bind :443 ssl": f"bind 127.0.0.1:{self.tls_port} ssl",
            "/etc/haproxy/example.org.pem": str(pem),
        }
        if self._idle:
            values["timeout tunnel 60s"] = f"timeout tunnel {1000 * self._idle:.0f}ms"
        main = self._folder / "haproxy.cfg"
        main.write_text(filled("haproxy.cfg", values))
        return ["-W", "-f", str(main)]


def filled(name: str, values: dict[str, str]) -> str:
    """The documented configuration, with the tests' ports, files and times in place of its own."""
    text = (CONFIGURATIONS / name).read_text()
    for old, new in values.items():
        assert text.count(old) == 1, f"docs/proxies/{name} does not say {old!r} just once"
        text = text.replace(old, new)
    return text
