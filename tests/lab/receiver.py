#!/usr/bin/python3
"""receiver.py -- a stand-in for whoever is told by webhooks: it checks what a real one would, and keeps what it took.

  receiver.py --at ADDRESS:PORT --cert FILE --key FILE --secret FILE --log FILE [--pending N] [--fail N]

Refused: a signature that is not right (401), a timestamp more than five minutes off (401), a body that is not of the shape
(400), an epoch below the newest one seen of that service (409, {"state":"stale"}).  One idempotency key is carried out once;
--pending N: the first N questions about a key are answered with pending.  --fail N: the first N requests end in 503.
Each request that is taken is a line of JSON in the log: what came, and whether it was carried out or a repetition."""

import argparse
import hashlib
import hmac
import json
import ssl
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHAPE = {"cluster": str, "service": str, "route": str, "epoch": int, "plan": int, "step": str, "drill": bool, "ask": bool,
         "idempotency_key": str, "old": dict, "new": dict}
# A step of a site plan's runbook.
STEP = {"cluster": str, "site": str, "plan": int, "plan_kind": str, "step": str, "undo": bool, "drill": bool, "ask": bool,
        "idempotency_key": str}
STAMP_MAX_S = 300


class Receiver:
    """What was seen so far."""

    def __init__(self, options):
        self.options = options
        with open(options.secret) as f:
            self.secret = f.readline().rstrip("\n").encode()
        self.asked, self.carried_out, self.epochs, self.failures = {}, set(), {}, options.fail

    def signature(self, stamp, body):
        """What the header must say."""
        return "sha256=" + hmac.new(self.secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()

    def take(self, headers, body):
        """(status, answer) to one request."""
        stamp = headers.get("X-Drcoord-Timestamp", "")
        given = headers.get("X-Drcoord-Signature", "")
        if not hmac.compare_digest(given, self.signature(stamp, body)):
            return 401, {"error": "signature"}
        if not stamp.isdigit() or abs(time.time() - int(stamp)) > STAMP_MAX_S:
            return 401, {"error": "timestamp"}
        try:
            what = json.loads(body)
        except ValueError:
            return 400, {"error": "no JSON"}
        wrong = [k for k, kind in (STEP if "site" in what else SHAPE).items() if not isinstance(what.get(k), kind)]
        key = headers.get("Idempotency-Key", "")
        if wrong or not key or key != what["idempotency_key"] or headers.get("Content-Type") != "application/json":
            return 400, {"error": f"shape: {wrong or 'headers'}"}
        return self.carry_out(key, what)

    def carry_out(self, key, what):
        """The same for one that is right."""
        if self.failures > 0:
            self.failures -= 1
            return 503, {"error": "not now"}
        if "epoch" in what and what["epoch"] < self.epochs.get(what["service"], 0):
            return 409, {"state": "stale"}
        if "epoch" in what:
            self.epochs[what["service"]] = what["epoch"]
        self.asked[key] = self.asked.get(key, 0) + 1
        done = self.asked[key] > self.options.pending
        first = done and not what["ask"] and key not in self.carried_out
        if first:
            self.carried_out.add(key)
        with open(self.options.log, "a") as f:
            f.write(json.dumps({**what, "carried_out": first, "done": done}) + "\n")
        return 200, {"state": "done" if done else "pending"}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    receiver = None
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Answer it."""
        body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), 1 << 16))
        status, answer = self.receiver.take(self.headers, body)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_args):
        """No lines on stderr."""


def main():
    """Serve until killed."""
    p = argparse.ArgumentParser()
    for name in ("at", "cert", "key", "secret", "log"):
        p.add_argument(f"--{name}", required=True)
    p.add_argument("--pending", type=int, default=0)
    p.add_argument("--fail", type=int, default=0)
    options = p.parse_args()
    host, port = options.at.rsplit(":", 1)
    Handler.receiver = Receiver(options)
    server = ThreadingHTTPServer((host, int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
