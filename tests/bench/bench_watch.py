"""bench_watch.py -- from a commit to its event at the watchers, and what they cost the leader.

One client commits every EVERY_MS; each event is timed at each watcher, from when the commit's answer came to that client
(the leader sends its own watchers' events before the answer, so that is often below 0: what they cost is then in the
commit's own time).  A follower learns only with the next entry or heartbeat what is committed.  All watchers are one
process beside the coordinators: with many of them its own work is in the figures.

Then commits at full speed without watchers, with one that never reads, with some more beside it, and with many."""

from lab import LabError
from plant import Plant

WATCHERS = (1, 100, 1000)
EVERY_MS = 50
WARM_MS = 1000
FULL_CLIENTS = 32
CERTS = 32


def full_speed(plant, args, put, what, **more):
    """The leader's own commits as fast as they go, so that watchers must be served at that rate."""
    got = plant.load("clients", plant.certs("adm", CERTS), clients=FULL_CLIENTS, warm_ms=WARM_MS,
                     run_ms=args.seconds * 1000, **more)
    put(what, **{**got, **more})


def paced(plant, args, put, where, watchers, spread):
    """One client at its pace and so many watchers; how many the coordinators did not let in is said."""
    try:
        got = plant.load("clients", plant.certs("adm", CERTS), clients=1, watchers=watchers, spread=spread,
                         every_ms=EVERY_MS, warm_ms=WARM_MS, run_ms=args.seconds * 1000)
    except LabError as e:
        put("commit-to-event", at=where, watchers=watchers, error=str(e)[-200:])
        return
    put("commit-to-event", at=where, **got)


def run(args, put):
    """Events first, then what watchers cost those who commit."""
    with Plant(args.dir).up(operators=0, admins=CERTS) as plant:
        paced(plant, args, put, "leader", 0, 1)
        for watchers in WATCHERS:
            paced(plant, args, put, "leader", watchers, 1)
            paced(plant, args, put, "all", watchers, 3)
        full_speed(plant, args, put, "full-speed")
        full_speed(plant, args, put, "full-speed", deaf=1)
        full_speed(plant, args, put, "full-speed", watchers=10, deaf=1)
        full_speed(plant, args, put, "full-speed", watchers=100)
