"""case_dns.py -- the name follows the primary on every server that can be told, and later on the others."""

from faults import A
from scene import all_joined, case, eventually, events_of, expect, kill_primary, verdict

B, C = "az-b", "az-c"


def move(stand):
    """Kill the primary; the site that takes over."""
    kill_primary(stand)
    return stand.first_new_ack(20)[1]


def told_late(stand, site, mend):
    """Move the primary while one DNS server can't be told; it is told after mend()."""
    new = move(stand)
    other = C if site == B else B
    eventually(stand, "the other server to have the new address",
               lambda: stand.dns.answer(other) == stand.address(new), 20)
    mend()
    eventually(stand, "the mended server to have the new address",
               lambda: stand.dns.answer(site) == stand.address(new), 60)
    all_joined(stand)
    return verdict(stand, [A, new])


@case("dns-down-and-back")
def dns_down_and_back(scenes):
    """A DNS server is down during a failover: nothing waits for it, and it is told when it is back."""
    stand = scenes.up()
    stand.lab.programs[f"dns-{B}"].kill()
    return told_late(stand, B, lambda: stand.dns.start(B))


@case("wrong-tsig")
def wrong_tsig(scenes):
    """A DNS server that knows another key refuses: the failover is done, and status and watch say what is wrong."""
    stand = scenes.up()
    path = stand.lab.path(f"dns-{B}", "conf")
    with open(path) as f:
        right = f.read()

    def restart(text):
        program = stand.lab.programs[f"dns-{B}"]
        program.kill()
        program.wait(5)
        with open(path, "w") as f:
            f.write(text)
        stand.dns.start(B)
        eventually(stand, "BIND after a restart", lambda: stand.dns.answer(B) != "")
    restart(right.replace(stand.dns.secret, "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmch"))

    def mend():
        says_why(stand, B, "BADSIG")
        restart(right)
    done = told_late(stand, B, mend)
    eventually(stand, "nothing to be said of the route any more", lambda: why_not(stand) == {})
    return done


def why_not(stand):
    """What status says of the servers of the route that do not show the primary, by address."""
    servers = stand.cluster.service()["routes"][0]["servers"]
    return {s["address"]: s["why"] for s in servers if s["why"] is not None or not s["current"]}


def says_why(stand, site, word):
    """Status, its table and the event name the server of a site, and what is wrong with it; no other server."""
    at = f"{stand.dns.address(site)}:{stand.dns.port}"
    said = eventually(stand, f"status to say {word}", lambda: word in (why_not(stand).get(at) or "") and why_not(stand))
    expect(list(said) == [at], "one server to be named", said)
    table = stand.cluster.ctl("status", person="viewer")
    expect(f"route dns: {at} " in table and word in table, "the table to say so as well", table)
    told = [e.get("text", "") for e in events_of(stand, "route.partly")]
    expect(told and told[-1].startswith(at) and word in told[-1], "the event to say so as well", told)
