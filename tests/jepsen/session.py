"""session.py -- what every client of tests/jepsen has of a server, whatever kind it is, and what may come of an operation."""


class Late(Exception):
    """The answer did not come in time."""


class Unsure(Exception):
    """It may have happened."""


class Refused(Exception):
    """It did not happen: this server does not take it."""


class NotSo(Refused):
    """It did not happen, and that says nothing against the server."""


class Session:
    """A connection to one server at a time; another server is tried when this one won't do.  A kind's own gives connect,
    undo, judge and the operations; told: what the server said of the place of an operation that it carried out
    (timeline: a number that grows with each promotion; position: how far the log of that timeline's primary was)."""

    CONNECT_S, STATEMENT_S = 1.0, 2.0
    ERRORS = ()

    def __init__(self, addresses, rng):
        self.addresses, self.at = addresses, rng.randrange(len(addresses))
        self.conn, self.told = None, {}

    def server(self):
        """The address spoken to."""
        return ":".join(self.addresses[self.at])

    def open(self):
        """Connect; an error says why not."""
        if not self.conn:
            self.conn = self.connect(*self.addresses[self.at], self.CONNECT_S)

    def close(self, elsewhere=True):
        """Give this connection up, and the server too."""
        if self.conn:
            try:
                self.conn.close()
            except self.ERRORS:
                pass  # it had ended already
        self.conn = None
        if elsewhere:
            self.at = (self.at + 1) % len(self.addresses)
