"""bench_scale.py -- N agents with a lease each, renewed every second: what the leader needs for it, and how late grants
come; then the primaries of one site vanish all at once.

The agents are the product's agent core over the product's protocol and TLS, in one process beside the coordinators
(which shares the machine with them: its own work is in the times).  They have no servers: the coordinators' probes
are refused by the kernel, which costs less than a server's answer would."""

import measure
from lab import LabError
from net import SITES
from plant import SERVER_PORT, Plant

SIZES = (100, 1000, 10000)
VANISH = (100, 1000)
BUNDLE = 32  # as AGENT_SERVICES of the load program
UP_S = 450


def address(service, side):
    """As member_address() of the load program."""
    return f"127.{100 + side}.{service // 250}.{1 + service % 250}:{SERVER_PORT}"


class Wide(Plant):
    """Coordinators with many small services."""

    def __init__(self, folder, services, sides):
        super().__init__(folder)
        self.count, self.sides = services, sides

    def one(self, number):
        """One service, as short as the spec has it."""
        members = [{"name": "ab"[side], "site": SITES[side], "agent": f"ag-{'ab'[side]}-{number // BUNDLE}",
                    "address": address(number, side), "priority": 1} for side in range(self.sides)]
        return {"name": f"s{number}", "kind": "postgres", "auto_failover": True, "write_stall": "1h",
                "database": "d", "user": "u", "members": members}

    def spec_file(self, **_changes):
        """All of them."""
        return self.write("spec.yaml", {"cluster": "demo", "timing": {"profile": "default"},
                                        "sites": [{"name": s, "region": "north"} for s in SITES],
                                        "services": [self.one(n) for n in range(self.count)]})

    def agent_certs(self):
        """A certificate for each bundle of each side, and the operator's."""
        names = []
        for side in range(self.sides):
            for bundle in range((self.count + BUNDLE - 1) // BUNDLE):
                names.append(f"ag-{'ab'[side]}-{bundle}")
                self.issue("agent", names[-1])
        return ",".join(self.file(n) for n in [*names, "op-0"])


def laid_on(args, put, services, vanish):
    """One size: up, renewals, and where asked the vanishing."""
    sides = 2 if vanish else 1
    with Wide(args.dir, services, sides) as plant:
        plant.up(operators=1)
        stream = plant.stream("agents", plant.agent_certs(), services=services, standbys=sides - 1,
                              vanish=vanish, run_ms=args.seconds * 1000)
        try:
            up = stream.wait(lambda line: line["phase"] == "up", UP_S)
            usage = measure.Usage(plant.pids())
            got = stream.wait(lambda line: line["phase"] == "renewals", args.seconds + 30)
            sizes = usage.figures(plant.pids())
            put("renewals", **{**up, **got}, standbys=sides - 1, leader=plant.wait_leader(), rss_mb=sizes["rss_mb"],
                cpu_pct=sizes["cpu_pct"])
            if vanish:
                put("vanished", **stream.wait(lambda line: line["phase"] == "vanished", 150))
        finally:
            stream.process.kill()


def tried(args, put, services, vanish):
    """The same; a size that is not reached is a figure too."""
    try:
        laid_on(args, put, services, vanish)
    except LabError as e:
        why = [line for line in str(e).splitlines() if "warning:" not in line]
        put("vanished" if vanish else "renewals", agents=services, error=" ".join(why)[:300])


def run(args, put):
    """All sizes, or the one that was asked for."""
    for services in [args.agents] if args.agents else SIZES:
        tried(args, put, services, False)
    for services in [args.agents] if args.agents else VANISH:
        tried(args, put, services, True)
