"""busy_server.py PORT SECONDS -- speaks as much of PostgreSQL's protocol as pgbouncer needs, and answers each query after
SECONDS.  busy_server.py PORT query USER DATABASE: a client of the pgbouncer at PORT that asks one."""
import socket
import struct
import sys
import threading
import time


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


READY = message(b"Z", b"I")
GREETING = message(b"R", struct.pack("!I", 0)) + message(b"S", b"server_version\x0015.0\0") + message(
    b"S", b"client_encoding\0UTF8\0") + message(b"K", struct.pack("!II", 1, 1)) + READY
ANSWER = message(b"C", b"SELECT 0\0") + READY


def take(c, n):
    data = b""
    while len(data) < n:
        more = c.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def serve(c, seconds):
    try:
        while True:
            n, what = struct.unpack("!II", take(c, 8))
            take(c, n - 8)
            if what != 80877103:
                break
            c.sendall(b"N")  # no TLS
        c.sendall(GREETING)
        while True:
            kind, n = struct.unpack("!cI", take(c, 5))
            text = take(c, n - 4)
            if kind == b"Q":
                time.sleep(seconds if b"slow" in text else 0)
                c.sendall(ANSWER)
    except (EOFError, OSError):
        c.close()


def query(port, user, database):
    c = socket.create_connection(("127.0.0.1", port))
    body = struct.pack("!I", 196608) + f"user\0{user}\0database\0{database}\0\0".encode()
    c.sendall(struct.pack("!I", len(body) + 4) + body)
    seen = b""
    while READY not in seen:
        seen += take(c, 1)
    c.sendall(message(b"Q", b"select slow\0"))
    while True:
        take(c, 1)


def main():
    if sys.argv[2] == "query":
        query(int(sys.argv[1]), sys.argv[3], sys.argv[4])
    s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    while True:
        threading.Thread(target=serve, args=(s.accept()[0], float(sys.argv[2])), daemon=True).start()


main()
