"""selftest.py -- shows that the lab measures what it claims, with the real servers alone (no drcoord).

Sites, servers and writers; a cut, a lost primary moved by hand, a provoked split brain and provoked loss must
appear in the figures; and a lab stopped at any moment leaves nothing.  TAP on standard output."""

import os
import random
import signal
import subprocess
import sys
import time

import measure
import reaper
from cluster import breaks
from disks import can_throttle, fill, keep_elsewhere, mount_image, throttle
from faults import kill_all
from lab import BUILD, HERE, Lab, LabError, Reaper, wait_for
from net import CLIENT, SITES, run
from servers import RECORD, TSIG_KEY, ZONE, Dns, Postgres
from writers import BY_NAME, NAMES, OUTSIDE, Writers, find_binary



class Tap:
    """Results in the Test Anything Protocol."""

    def __init__(self):
        self.number, self.failed = 0, 0

    def ok(self, good, what, *values):
        """One result; the values are shown when it is bad."""
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {what}", flush=True)
        for value in values if not good else ():
            print(f"# {value}", flush=True)


def stand_up():
    """A lab with servers and writers that are all acknowledged."""
    lab = Lab()
    pg, dns = Postgres(lab), Dns(lab)
    pg.create_primary()
    for site in SITES[1:]:
        pg.create_standby(site)
    dns.create()
    writers = Writers(lab, dns, find_binary(BUILD, "dr_lab_writer"))
    writers.start()
    for writer in (1, 4, 5):
        wait_for(f"writer {NAMES[writer]}", lambda w=writer: writers.read().logs[w].acks, 5)
    return lab, pg, dns, writers


def update_name(lab, dns, address):
    """Point the name to an address on both DNS servers, as drcoord would."""
    for server in dns.addresses():
        host, port = server.split(":")
        lab.run(CLIENT, ["nsupdate", "-y", f"hmac-sha256:{TSIG_KEY}:{dns.secret}"],
                text=f"server {host} {port}\nzone {ZONE}\nupdate delete {RECORD} A\n"
                     f"update add {RECORD} 5 A {address}\nsend\n")


def check_cuts(tap, lab):
    """One way, both ways, healed."""
    def reaches(a, b):
        connect = f"exec 3<>/dev/tcp/{lab.address(b, 'db')}/5432 && echo yes"
        return lab.run(f"{a}-db", ["timeout", "0.3", "bash", "-c", connect], check=False).strip() == "yes"
    tap.ok(reaches("az-a", "az-b") and reaches("az-c", "az-a"), "the sites reach each other")
    lab.network.isolate("az-a")
    alone = not reaches("az-a", "az-b")
    tap.ok(alone and reaches("az-b", "az-c"), "a site cut off is alone, the others are not")
    lab.network.heal()
    tap.ok(reaches("az-a", "az-b"), "a cut heals")
    lab.network.links("az-b", up=False)
    down = reaches("az-a", "az-b")
    lab.network.links("az-b", up=True)
    wait_for("links to come back", lambda: reaches("az-a", "az-b"), 5)
    tap.ok(not down, "links go down and come back")


def check_one_way(tap, lab, pg, writers):
    """Answers dropped one way: rows arrive but are not acknowledged."""
    before = len(writers.read().logs[1].acks)
    lab.network.cut([("az-a", CLIENT)])
    time.sleep(0.3)
    cut_at = len(writers.read().logs[1].acks)
    time.sleep(1.5)
    tap.ok(0 < before <= cut_at == len(writers.read().logs[1].acks), "a one-way cut silences a writer")
    tap.ok(writers.logs[1].unknown > 0, "a row without an answer is unknown, not lost")
    lab.network.heal()
    count = len(writers.read().logs[1].acks)
    wait_for("acknowledgements after the cut", lambda: len(writers.read().logs[1].acks) > count + 5, 3)
    begin = writers.logs[1].acks[0].done
    tap.ok(measure.largest_gap(writers.acks([1]), begin, measure.now()) > 1.5, "the gap is seen")
    tap.ok(measure.lost_rows(writers.read(), pg.rows("az-a"))[0] == 0, "nothing is counted as lost")


def check_kill(tap, lab, pg, dns, writers):
    """Every server process of the primary killed; a standby promoted and the name moved by hand."""
    old, new = lab.address("az-a", "db"), lab.address("az-b", "db")
    victims = pg.processes("az-a")
    fault = measure.now()
    kill_all(victims)  # the last of them may be gone with the first
    pg.sql("az-b", "SELECT pg_promote()")
    update_name(lab, dns, new)
    wait_for("the writer by name on the new primary",
             lambda: measure.first_from(writers.read().logs[BY_NAME].acks, new, fault), 5)
    wait_for("the new address on all DNS servers",
             lambda: measure.dns_time(writers.read().dns_log.answers, dns.hosts(), new, fault), 5)
    tap.ok(not pg.processes("az-a"), "no process of the killed server is left", pg.processes("az-a"))
    got = measure.moved(writers.read(), dns.hosts(), old, new, fault)
    gap_fits = got["gap_s"] >= got["downtime_s"] - 0.05
    tap.ok(0 < got["downtime_s"] < 2 and gap_fits, "downtime is measured", got)
    tap.ok(got["downtime_s"] <= got["name_downtime_s"] < 4, "downtime by name is measured", got)
    tap.ok(got["dns_s"] is not None and got["dns_s"] < 2, "the name's move is measured", got)
    tap.ok(got["split_brain_s"] == 0, "no split brain is seen where there is none", got)
    print(f"# by hand: {got}", flush=True)
    return fault


def check_split(tap, lab, pg, writers, fault):
    """The old primary started again beside the new one: its acknowledgements are a split brain, and lost."""
    old, new = lab.address("az-a", "db"), lab.address("az-b", "db")
    pg.start("az-a")
    count = len(writers.read().logs[1].acks)
    wait_for("acknowledgements from the old primary",
             lambda: len(writers.read().logs[1].acks) > count + 20, 5,
             logs=[writers.logs[1].path, lab.path("log", "pg-az-a.log")])
    writers.stop()
    split = measure.split_brain(writers.read().acks(), old, new, fault)
    lost, by_writer = measure.lost_rows(writers, pg.rows("az-b"))
    tap.ok(split > 0.2, "a split brain is seen", split)
    # One of by-name's may have been acknowledged in the moment of the kill, before the standby had it.
    tap.ok(lost >= 20 and by_writer.get("outside-a", 0) >= 20 and by_writer.get("by-name", 0) <= 1,
           "rows acknowledged by the wrong server count as lost", lost, by_writer)
    acks = measure.lost_acks(writers, pg.rows("az-b"))
    tap.ok(len(acks) == lost and len(measure.lost_beyond(acks, old, fault + 0.2)) >= 20,
           "lost rows acknowledged after a lease are told from others", len(acks), lost)
    tap.ok(not measure.lost_beyond(acks, old, measure.now()) and measure.lost_beyond(acks, new, measure.now()) == acks,
           "and those acknowledged by whom no lease was given")
    outside = writers.acks(OUTSIDE)
    tap.ok(len(outside) == len({(a.server, a.done, a.n) for a in outside}), "no row is counted twice")


def check_breaks(tap):
    """A gap, a repetition and a late beginning among the events that watch has shown."""
    tap.ok(breaks([]) == breaks([1]) == breaks([1, 2, 3]) == [], "events that are whole are not complained of")
    tap.ok(breaks([1, 3]) == [(1, 3)] and breaks([1, 2, 2]) == [(2, 2)] and breaks([2, 3]) == [(0, 2)],
           "a lost and a repeated event are seen")


def check_together(tap):
    """Two services' figures as one: the last of the times, the sum of the rows, whose they were."""
    one = {"downtime_s": 1.5, "dns_s": None, "lost_acked": 0, "lost_by_writer": {}, "fence_proof": "agent-confirmed"}
    other = {"downtime_s": 0.7, "dns_s": 0.4, "lost_acked": 3, "lost_by_writer": {"inside-a": 3}, "fence_proof": None}
    got = measure.together([("orders", one), ("stock", other)])
    tap.ok(got == {"downtime_s": 1.5, "dns_s": 0.4, "lost_acked": 3, "lost_by_writer": {"stock/inside-a": 3},
                   "fence_proof": "agent-confirmed"}, "figures of several services are those of the last of them", got)
    tap.ok(measure.together([("orders", other)]) == other, "figures of one are its own")


def check_site(tap, lab, pg, dns):
    """A whole site killed at once."""
    lab.kill_site("az-b")
    wait_for("the site's processes to end", lambda: not pg.processes("az-b"), 3)
    tap.ok(dns.answer("az-b") == "" and dns.answer("az-c") != "", "a killed site takes its DNS along")
    pg.start("az-b")
    dns.start("az-b")
    wait_for("DNS after a restart", lambda: dns.answer("az-b") != "", 5)
    tap.ok(dns.answer("az-b") == dns.answer("az-c"), "a restarted DNS server keeps what was updated")


def check_beside(tap, lab, pg):
    """Somebody in another pid namespace, a container, removes what ended programs left: a lab that stands is not that."""
    if reaper.cgroup_base() is None:
        return
    code = f"import reaper; reaper.PREFIX = '{lab.name}'; reaper.sweep()"
    own_proc = "mount --make-rprivate /proc && mount -t proc proc /proc && exec \"$0\" -B -c \"$1\""   # "/" of a chroot is no mount
    run(["unshare", "--pid", "--fork", "--mount", "--propagation", "unchanged", "sh", "-c", own_proc, sys.executable, code],
        folder=HERE)
    tap.ok(pg.processes("az-a") and reaper.left_of(lab.name), "a lab is left alone by who sees its cgroup and not its owner")


def sync_s(path, times=4):
    """How long so many small writes to a file take, each down to the disk; None without room."""
    began = time.monotonic()
    try:
        for n in range(times):
            with open(path, "ab", buffering=0) as f:
                f.write(bytes([n]) * 4096)
                os.fdatasync(f.fileno())
    except OSError:
        return None
    return time.monotonic() - began


def check_disk(tap, lab):
    """A disk that is full, and slow; it stays slow, for the lab's end to take back."""
    folder = lab.make_folder("disk")
    mount_image(folder, lab.path("disk.img"), size="64M")
    log, small = os.path.join(folder, "log"), os.path.join(folder, "small")
    keep_elsewhere(log, lab.path("log-elsewhere"))
    path = fill(folder)
    tap.ok(sync_s(small) is None and sync_s(log) is not None, "a full disk takes nothing, but for what is kept elsewhere")
    os.unlink(path)
    tap.ok(sync_s(small) is not None, "with room again it does")
    if can_throttle():
        throttle(folder, 20)
        tap.ok(sync_s(small) > 0.15, "each write to a slow disk waits")
        throttle(folder, 0)
        took = sync_s(small)
        tap.ok(took < 0.15, "until it is as fast as it can be again", took)
        throttle(folder, 20)


def slow_disks():
    """What the kernel still has to slow down."""
    if not can_throttle():
        return ""
    with open(reaper.THROTTLE) as f:
        return f.read().strip()


def check_stops(tap, times):
    """A lab stopped at random moments, by every signal, leaves nothing."""
    left = []
    for number in range(times):
        sig = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)[number % 4]
        child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--stand"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        prefix = reaper.owner_name(child.pid)
        time.sleep(random.uniform(0.02, 3.2))
        child.send_signal(sig)
        child.wait(timeout=30)
        deadline = time.monotonic() + 5
        while reaper.left_of(prefix) and time.monotonic() < deadline:
            time.sleep(0.05)
        left += reaper.left_of(prefix)
    tap.ok(not left, f"stopped at {times} random moments, nothing is left", *left)


def main():
    """All checks, or with --stand a lab that stands until it is stopped."""
    if "--stand" in sys.argv:
        stand_up()
        time.sleep(60)
        return 0
    tap = Tap()
    try:
        lab, pg, dns, writers = stand_up()
        tap.ok(True, "three sites, three PostgreSQL servers, BIND, Knot and five writers stand")
        tap.ok(sorted(pg.streaming("az-a")) == ["pg-b", "pg-c"], "both standbys stream", pg.streaming("az-a"))
        check_breaks(tap)
        check_together(tap)
        check_cuts(tap, lab)
        check_one_way(tap, lab, pg, writers)
        fault = check_kill(tap, lab, pg, dns, writers)
        check_split(tap, lab, pg, writers, fault)
        check_site(tap, lab, pg, dns)
        check_beside(tap, lab, pg)
        check_disk(tap, lab)
        lab.close()
        tap.ok(not slow_disks(), "a closed lab's disks are as fast as they were", slow_disks())
        tap.ok(not reaper.left_of(lab.name), "a closed lab leaves nothing", *reaper.left_of(lab.name))
        check_stops(tap, 10)
    except LabError as e:
        tap.ok(False, f"the lab works: {e}".replace("\n", "\n# "))
    Reaper.finish()
    print(f"1..{tap.number}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
