"""Programs for lab hosts that say which client they were told of. Each prints `ready` and echoes what it gets.

The first line of each answer is a JSON object: `source`, the address and port that the socket shows; `options`, what
each option 254 of the first packet says; and, where a header is read, `client`, `endpoint` and `tlvs` out of it.
"""

_START = """\
import json, socket, struct, sys, threading

TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28

def options(connection):
    # An IPv4 header and a TCP header, see tcp(7).
    syn = connection.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 128)
    tcp = syn[(syn[0] & 15) * 4 :]
    rest, found = tcp[20 : (tcp[12] >> 4) * 4], []
    while rest and rest[0] != 0:
        if rest[0] == 1:
            rest = rest[1:]
            continue
        if rest[0] == 254:
            port, address = struct.unpack("!H4s", rest[2 : rest[1]])
            found.append([socket.inet_ntoa(address), port])
        rest = rest[rest[1] :]
    return found

def read(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("closed in the header")
        data += more
    return data

def header(connection):
    start = read(connection, 16)
    assert start[:12] == b"\\r\\n\\r\\n\\0\\r\\nQUIT\\n", start
    body = read(connection, int.from_bytes(start[14:16], "big"))
    if start[12] == 0x20:
        raise ConnectionError("a probe, of nobody")
    assert (start[12], start[13]) == (0x21, 0x11), start
    client, endpoint, client_port, endpoint_port = struct.unpack("!4s4sHH", body[:12])
    tlvs, rest = {}, body[12:]
    while rest:
        kind, size = struct.unpack("!BH", rest[:3])
        tlvs[kind] = rest[3 : 3 + size].hex()
        rest = rest[3 + size :]
    return {
        "client": [socket.inet_ntoa(client), client_port],
        "endpoint": [socket.inet_ntoa(endpoint), endpoint_port],
        "tlvs": tlvs,
    }
"""

_SERVE = """\

def serve(connection, peer):
    with connection:
        try:
            said = {"source": peer, "options": options(connection), **told(connection)}
            connection.sendall(json.dumps(said).encode() + b"\\n")
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            return

server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
server.bind(("", int(sys.argv[1])))
server.listen(64)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=server.accept(), daemon=True).start()
"""

PROXY_PROTOCOL = f"{_START}\ntold = header\n{_SERVE}"
TCP_OPTION = f"{_START}\ntold = lambda connection: {{}}\n{_SERVE}"
