"""case_dns.py -- the name follows the primary on every server that can be told, and later on the others."""

from faults import A
from scene import all_joined, case, eventually, kill_primary, verdict

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
    """A DNS server that knows another key refuses: the failover is done, the route says what is wrong."""
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
    return told_late(stand, B, lambda: restart(right))
