"""A client that comes back when its connection is lost."""

import random
import time

from simple_websocket import Client, ConnectionClosed, ConnectionError

LONGEST = 30.0  # seconds between two attempts


def keep_connected(url, talk):
    """Call `talk` with a connection, and with another one each time it ends; until `talk` returns."""
    pause = 0.1
    while True:
        try:
            with Client.connect(url, ping_interval=25) as ws:
                pause = 0.1
                return talk(ws)
        except ConnectionClosed as closed:
            print("lost:", closed)  # 1001: the server restarts.  1006: nobody said why.
        except ConnectionError as error:
            if error.status_code is not None and error.status_code < 500:
                raise  # the server does not want us: 401, 403, 404
        except OSError:
            pass  # nobody listens there at the moment
        # Not all clients of a server that comes back at the same instant.
        time.sleep(random.uniform(0.5, 1.0) * pause)
        pause = min(2 * pause, LONGEST)
