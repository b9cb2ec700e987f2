"""A server on loopback that nothing may call: what tests show that no URL in a row is opened with."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Server:
    """Where it listens, and what it was asked for."""

    port: int
    calls: list[str] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Server]:
    """Run a server for the block."""
    seen = Server(0)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.calls.append(self.path)
            self.send_error(404)

        def log_message(self, *given: object) -> None:
            pass

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.port = serving.server_port
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        yield seen
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()
