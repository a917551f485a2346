"""A server of key sets, as a process of its own: it answers as it was last told, or holds its answer back."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: dict[str, Any] = {"status": 200, "text": "", "hold": False}
        self.changed = threading.Condition()
        self.asked = 0


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer as told; while told to hold, only once told otherwise."""
        with self.server.changed:
            self.server.asked += 1
            self.server.changed.wait_for(lambda: not self.server.told["hold"], timeout=30)
            told = self.server.told
        self._answer(told["status"], told["text"])

    def do_POST(self) -> None:
        """Be told how to answer from now on; say how often keys were asked for."""
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.changed:
            self.server.told.update(told)
            self.server.changed.notify_all()
        self._answer(200, str(self.server.asked))

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", "text/html" if text.startswith("<") else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = _Server()
    print(server.server_port, flush=True)
    server.serve_forever()
