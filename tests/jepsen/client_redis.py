"""client_redis.py -- what the clients of tests/jepsen do on Redis and Valkey.

A server has one thread, so what a MULTI holds happens at one moment: each operation goes together with two questions, which
epoch its data descends from (the hash that drcoord keeps there) and how far its stream is.  So the server that
takes an operation names both in the same moment.  The codec is the few lines of the protocol (RESP 2) that it takes."""

import socket
import time

from session import Late, Refused, Session

LINEAGE = "drcoord:lineage"
SWAP = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) return 1 else return 0 end"
TABLES = ""


class Answer(Exception):
    """An error that the server answered with."""


class Wire:
    """One connection: commands out, answers in, each wait with an end."""

    def __init__(self, host, port, seconds):
        self.sock, self.rest = socket.create_connection((host, int(port)), seconds), b""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        """Give it up."""
        self.sock.close()

    def send(self, *commands):
        """All of them in one write."""
        out = b""
        for words in commands:
            out += b"*%d\r\n" % len(words)
            for word in words:
                data = str(word).encode()
                out += b"$%d\r\n%s\r\n" % (len(data), data)
        self.sock.sendall(out)

    def _more(self, until):
        left = until - time.monotonic()
        if left <= 0:
            raise Late("no answer in time")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except TimeoutError as e:
            raise Late("no answer in time") from e
        if not data:
            raise ConnectionError("the server has ended the connection")
        self.rest += data

    def _line(self, until):
        while b"\r\n" not in self.rest:
            self._more(until)
        line, _, self.rest = self.rest.partition(b"\r\n")
        return line

    def _bytes(self, count, until):
        parts, have = [self.rest], len(self.rest)
        while have < count + 2:
            self.rest = b""
            self._more(until)
            parts.append(self.rest)
            have += len(self.rest)
        data = b"".join(parts)
        self.rest = data[count + 2:]
        return data[:count].decode()

    def answer(self, until):
        """The next answer; an error is returned, not raised, since it may be a part of another."""
        line = self._line(until)
        kind, text = line[:1], line[1:].decode()
        if kind == b"+":
            return text
        if kind == b"-":
            return Answer(text)
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == "-1" else self._bytes(int(text), until)
        if kind == b"*":
            return None if text == "-1" else [self.answer(until) for _ in range(int(text))]
        raise ConnectionError(f"no answer of this protocol: {line[:40]!r}")


class Redis(Session):
    """A connection to one Redis at a time."""

    ERRORS = (OSError, Answer)

    def connect(self, host, port, seconds):
        """Open it."""
        return Wire(host, port, seconds)

    def judge(self, error):
        """(whether it surely did not happen, whether the connection is as good as before): a transaction whose queue had
        an error is not carried out, of which the server then says EXECABORT."""
        refused = isinstance(error, Answer) and str(error).startswith("EXECABORT")
        return refused, False

    def undo(self):
        """Nothing is left open."""

    def _at_once(self, *words, sent=None, seconds=Session.STATEMENT_S):
        """One command, the lineage and the place in the stream, all at one moment; the command's answer."""
        until = time.monotonic() + seconds
        self.conn.send(("MULTI",), words, ("HGET", LINEAGE, "epoch"), ("INFO", "replication"))
        queued = [self.conn.answer(until) for _ in range(4)]
        wrong = [q for q in queued if isinstance(q, Answer)]
        if sent is not None and not wrong:
            sent.append(1)
        self.conn.send(("EXEC",))
        answers = self.conn.answer(until)
        if isinstance(answers, Answer):
            raise Answer(f"{answers}{': ' if wrong else ''}{wrong[0] if wrong else ''}")
        answer, epoch, info = answers
        place = dict(line.split(":", 1) for line in info.split("\r\n") if ":" in line)
        if place["role"] != "master":
            raise Refused("a standby")
        self.told.update(timeline=int(epoch or 1), position=int(place["master_repl_offset"]))
        if isinstance(answer, Answer):
            raise answer
        return answer

    # --- set --------------------------------------------------------------------------------

    def add(self, number, sent):
        """Add one number."""
        self._at_once("SADD", "drlab:jepsen_set", number, sent=sent)

    def members(self):
        """All numbers, from a server that takes writes."""
        return [int(n) for n in self._at_once("SMEMBERS", "drlab:jepsen_set", seconds=20)]

    # --- cells ------------------------------------------------------------------------------

    def read(self, key):
        """A cell's value; None: it has none."""
        value = self._at_once("GET", f"drlab:cell:{key}")
        return None if value is None else int(value)

    def write(self, key, value, sent):
        """Give a cell a value."""
        self._at_once("SET", f"drlab:cell:{key}", value, sent=sent)

    def swap(self, key, old, new, sent):
        """Compare and set; whether it was so."""
        return self._at_once("EVAL", SWAP, 1, f"drlab:cell:{key}", old, new, sent=sent) == 1
