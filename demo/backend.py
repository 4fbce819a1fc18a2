"""Answer every HTTP request with a page that names this host and the source address it saw."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    """The one page."""

    def do_GET(self) -> None:
        """Answer with the page."""
        page = f"hello from the backend; you are {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
        """Stay silent."""


server = ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Page)  # noqa: S104 - inside the host's own namespace
print("ready", flush=True)
server.serve_forever()
