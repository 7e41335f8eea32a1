"""outcome.py -- one service in a run: waiting for its clients and its old primary, and what they came to.

A run has one for each service that its fault strikes."""

import time

import measure
from cluster import member_of
from servers import PRIMARY_SITE
from writers import BY_NAME

TTL = {"metro": 1.5, "default": 5.0, "geo": 15.0}  # of the profiles, in seconds


class Outcome:
    """What became of one service; stand: with its servers and clients."""

    def __init__(self, stand, fault):
        self.stand, self.fault = stand, fault
        self.new_site = self.first_ack = self.rejoined = None
        self.figures = {}
        self.lost = []  # acknowledgements of rows that are gone

    @property
    def name(self):
        """The service's."""
        return self.stand.cluster.name

    @property
    def moved(self):
        """Whether another server is the primary now."""
        return self.new_site not in (None, PRIMARY_SITE)

    # --- while it happens -------------------------------------------------------------------

    def wait_first(self):
        """Until the first row is acknowledged by a new primary, or by the old one where it may come back in place."""
        stand = self.stand
        in_place = self.fault.crash and stand.cluster.durability != "sync"
        self.first_ack, self.new_site = stand.first_new_ack(30, in_place=in_place)
        stand.say(f"{stand.tag}first row acknowledged by {member_of(self.new_site)} after {self.first_ack - stand.fault:.3f} s")

    def wait_whole(self):
        """Until the old primary follows the new one, or stays out with reason; a service that did not move is at rest."""
        stand = self.stand
        if not self.moved:
            stand.cluster.settle()
            return
        self.rejoined = stand.wait_rejoined(PRIMARY_SITE, self.new_site)
        stand.say(f"{stand.tag}{member_of(PRIMARY_SITE)} " +
                  ("has rejoined as a standby" if self.rejoined else "has what the new primary never had, and stays out"))

    def wait_named(self, until):
        """After a short run the client that goes by the name may not have moved yet."""
        new = self.stand.address(self.new_site)
        named = self.stand.writers.logs[BY_NAME]
        while self.moved and measure.now() < until and measure.first_from(named.read().acks, new, self.stand.fault) is None:
            time.sleep(0.05)

    def end(self):
        """The clients' end."""
        self.stand.writers.stop()
        self.stand.writers.read()

    # --- what it came to --------------------------------------------------------------------

    def judge(self, end):
        """Take the figures; end: when the clients were stopped."""
        stand = self.stand
        old = stand.address(PRIMARY_SITE)
        if self.moved:
            got = measure.moved(stand.writers, stand.dns.hosts(), old, stand.address(self.new_site), stand.fault)
        else:
            got = measure.steady(stand.writers, old, stand.fault, end)
        rows = stand.final_rows()
        lost, by_writer = measure.lost_rows(stand.writers, rows)
        self.lost = measure.lost_acks(stand.writers, rows)
        self.figures = {**got, "lost_acked": lost, "lost_by_writer": by_writer,
                        "fence_proof": stand.proof() if self.moved else None,
                        "old_rejoined_s": measure.rounded(self.rejoined)}

    def record(self):
        """This service's own row in the line of a run of several."""
        cluster = self.stand.cluster
        return {"service": self.name, "kind": cluster.pg.kind, "durability": cluster.durability,
                "primary": member_of(self.new_site or PRIMARY_SITE), **self.figures}

    def complaints(self):
        """What must never happen, whatever the fault."""
        bad = self._loss()
        if self.figures["split_brain_s"]:
            bad.append(f"two servers acknowledged for {self.figures['split_brain_s']} s")
        return [self.stand.tag + b for b in bad]

    def _loss(self):
        """Under sync no acknowledged row is lost; else only what the old primary acknowledged under its lease."""
        cluster, count = self.stand.cluster, len(self.lost)
        if cluster.durability == "sync" or not self.moved:
            return [f"{count} acknowledged rows were lost: {self.figures['lost_by_writer']}"] if count else []
        until = self.stand.fault + TTL[cluster.profile]
        beyond = measure.lost_beyond(self.lost, self.stand.address(PRIMARY_SITE), until)
        if not beyond:
            return []
        worst = max(beyond, key=lambda a: a.done)
        return [f"{len(beyond)} of {count} lost rows were not acknowledged by the old primary under its lease: row "
                f"{worst.n} by {worst.server}, {worst.done - self.stand.fault:.3f} s after the fault"]
