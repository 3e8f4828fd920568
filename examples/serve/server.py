"""A chat without a web server: what one says, all hear.

    python examples/serve/server.py                    # threads
    python examples/serve/server.py --backend gevent   # or eventlet

Talk with `python examples/serve/client.py NAME` in other terminals, or open http://localhost:5000/ in a browser. Ctrl-C ends it.
"""

import argparse

from simple_websocket import ConnectionClosed, serve

PAGE = b"""<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<form><input autofocus></form>
<pre></pre>
<script>
  const ws = new WebSocket(`ws://${location.host}/`);
  const input = document.querySelector("input"), pre = document.querySelector("pre");
  ws.onmessage = event => pre.append(event.data + "\\n");
  ws.onclose = event => pre.append(`closed by the server: ${event.code}\\n`);
  document.forms[0].onsubmit = event => { event.preventDefault(); ws.send(input.value); input.value = ""; };
</script>
"""

everybody = set()


def chat(ws):
    everybody.add(ws)
    try:
        for message in ws:
            for other in everybody.copy():
                try:
                    other.send(message)
                except ConnectionClosed:
                    pass  # its own handler removes it
    finally:
        everybody.discard(ws)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat without a web server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--backend", choices=["threading", "gevent", "eventlet"], help="what runs the connections (threads)")
    options = parser.parse_args()
    with serve(
        chat, options.host, options.port, backend=options.backend, http=PAGE, ping_interval=25, max_message_size=10_000
    ) as server:
        print(f"chatting on http://{options.host}:{server.port}/", flush=True)
        server.serve_forever()
