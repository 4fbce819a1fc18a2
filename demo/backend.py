"""Answer every HTTP request with a page that names this host and the source address it saw.

    backend.py PORT [proxy|option]

`proxy` expects a PROXY protocol header before the request, `option` looks for the client's address in a TCP option;
both say on the page what they were told.
"""

import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, MODE = int(sys.argv[1]), (*sys.argv[2:], "")[0]
TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28
LOCAL = 0x20
CLIENT_OPTION, NO_OPERATION, END = 254, 1, 0


class Page(BaseHTTPRequestHandler):
    """The one page."""

    told = ""

    def setup(self) -> None:
        """Look for the client's address where this backend expects it."""
        super().setup()
        if MODE == "proxy":
            self.told = self.read_header()
        elif MODE == "option":
            self.told = self.read_option()

    def read_header(self) -> str:
        """Return what the PROXY protocol's header says, version 2."""
        _, command, _, size = struct.unpack("!12sBBH", self.rfile.read(16))
        body = self.rfile.read(size)
        if command == LOCAL:
            return "; the header says that nobody is behind it"  # Landbridge asks whether this backend lives
        address, port, marker = socket.inet_ntoa(body[:4]), struct.unpack_from("!H", body, 8)[0], body[15:19]
        return f"; the header says {address}:{port} with marker {int.from_bytes(marker)}"

    def read_option(self) -> str:
        """Return what option 254 of the connection's first packet says."""
        packet = self.connection.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 128)
        segment = packet[(packet[0] & 15) * 4 :]
        options = segment[20 : (segment[12] >> 4) * 4]
        while options and options[0] != END:
            size = 1 if options[0] == NO_OPERATION else options[1]
            if options[0] == CLIENT_OPTION:
                port, address = struct.unpack("!H4s", options[2:8])
                return f"; the option says {socket.inet_ntoa(address)}:{port}"
            options = options[size:]
        return "; there is no option"

    def do_GET(self) -> None:
        """Answer with the page."""
        page = f"hello from the backend; you are {self.client_address[0]}{self.told}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
        """Stay silent."""


server = ThreadingHTTPServer(("0.0.0.0", PORT), Page, bind_and_activate=False)  # noqa: S104 - in the host's own namespace
server.socket.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
server.server_bind()
server.server_activate()
print("ready", flush=True)
server.serve_forever()
