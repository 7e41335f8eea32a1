"""net.py -- three sites as network namespaces, the wan between them, and cuts.

    az-a hosts -- az-a-router --+
    az-b hosts -- az-b-router --+-- wan -- client
    az-c hosts -- az-c-router --+

A host is a namespace with one address, 10.N.0.H in site N.  A site's router is a bridge with 10.N.0.1; the
wan forwards between the sites and to the outside client (10.9.0.10), and holds the nft set of cuts: a
pair (from, to) in it is dropped silently.  Without namespaces the same hosts are addresses 127.N.0.H."""

import subprocess

SITES = ("az-a", "az-b", "az-c")
HOSTS = {"coord": 10, "db": 20, "app": 30, "dns": 53}
CLIENT = "client"
FORWARDING = "/proc/sys/net/ipv4/ip_forward"
LOW_PORTS = "/proc/sys/net/ipv4/ip_unprivileged_port_start"

CUT_TABLE = """
table ip drlab {
    set cut {
        type ipv4_addr . ipv4_addr
        flags interval
    }
    chain forward {
        type filter hook forward priority 0; policy accept;
        ip saddr . ip daddr @cut drop
    }
    chain loss {
        type filter hook forward priority 1; policy accept;
    }
}
"""


class NetError(Exception):
    """Namespaces, links or cuts could not be made; the text is the tool's."""


def run(argv, text=None, folder=None):
    """Run a short tool; its error text becomes ours.  In a lab's folder it counts as a process of the lab."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=20, cwd=folder)
    if done.returncode != 0:
        raise NetError(f"{' '.join(argv[:6])}: {done.stderr.strip()[-300:]}")
    return done.stdout


def site_number(site):
    """1, 2, 3: the site's place in every address."""
    return SITES.index(site) + 1


def host_name(site, role):
    """The name of a host: "az-a-db"."""
    return f"{site}-{role}"


def address(site, role, loopback=False):
    """A host's address."""
    return f"{127 if loopback else 10}.{site_number(site)}.0.{HOSTS[role]}"


def network(place):
    """The addresses of a site, or of the outside client."""
    return "10.9.0.0/24" if place == CLIENT else f"10.{site_number(place)}.0.0/16"


class Network:
    """The namespaces of one lab.  Whoever made it removes them (reaper.clean)."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder
        self.cuts = set()

    def _run(self, argv, text=None):
        return run(argv, text, self.folder)

    def _batch(self, space, lines):
        # Not `ip -n`: it makes a mount namespace as well, which fails where / is no mount point (a chroot).
        inside = ["nsenter", f"--net=/run/netns/{self.space(space)}", "--"]
        self._run([*inside, "ip", "-b", "-"], "\n".join(lines) + "\n")

    def space(self, host):
        """The full name of a host's namespace."""
        return f"{self.lab}-{host}"

    def enter(self, host):
        """The words to put before a command so that it runs in a host's network."""
        return ["nsenter", f"--net=/run/netns/{self.space(host)}", "--"]

    def build(self):
        """Make all namespaces and links; about half a second."""
        spaces, links = ["wan", CLIENT], []
        inside = {"wan": [], CLIENT: self._host_lines("10.9.0.10", "10.9.0.1")}
        links.append(self._link(CLIENT, "eth0", "wan", "to-client"))
        inside["wan"] += ["addr add 10.9.0.1/24 dev to-client", "link set to-client up"]
        for site in SITES:
            self._add_site(site, spaces, links, inside)
        adds = [f"netns add {self.space(s)}" for s in spaces]
        self._run(["ip", "-b", "-"], "\n".join(adds + links) + "\n")
        for space in spaces:
            self._batch(space, ["link set lo up"] + inside[space])
        self._settings()
        self._run(self.enter("wan") + ["nft", "-f", "-"], CUT_TABLE)

    def _link(self, space, name, other, other_name):
        return (f"link add name {name} netns {self.space(space)} type veth "
                f"peer name {other_name} netns {self.space(other)}")

    def _host_lines(self, addr, gateway):
        return [f"addr add {addr}/24 dev eth0", "link set eth0 up", f"route add default via {gateway}"]

    def _add_site(self, site, spaces, links, inside):
        n, router = site_number(site), host_name(site, "router")
        spaces.append(router)
        links.append(self._link(router, "wan", "wan", f"to-{site}"))
        inside[router] = ["link add br0 type bridge", f"addr add 10.{n}.0.1/24 dev br0", "link set br0 up",
                          f"addr add 10.0.{n}.2/24 dev wan", "link set wan up",
                          f"route add default via 10.0.{n}.1"]
        inside["wan"] += [f"addr add 10.0.{n}.1/24 dev to-{site}", f"link set to-{site} up",
                          f"route add 10.{n}.0.0/16 via 10.0.{n}.2"]
        for role in HOSTS:
            host = host_name(site, role)
            spaces.append(host)
            links.append(self._link(host, "eth0", router, f"to-{role}"))
            inside[router] += [f"link set to-{role} master br0", f"link set to-{role} up"]
            inside[host] = self._host_lines(address(site, role), f"10.{n}.0.1")

    def _settings(self):
        for host in ["wan"] + [host_name(s, "router") for s in SITES]:
            self._run(self.enter(host) + ["sh", "-c", f"echo 1 > {FORWARDING}"])
        for site in SITES:
            self._run(self.enter(host_name(site, "dns")) + ["sh", "-c", f"echo 0 > {LOW_PORTS}"])

    def cut(self, pairs):
        """Drop everything from each pair's first place (site or "client") to its second."""
        new = set(pairs) - self.cuts
        if new:
            items = ", ".join(f"{network(a)} . {network(b)}" for a, b in sorted(new))
            self._run(self.enter("wan") + ["nft", f"add element ip drlab cut {{ {items} }}"])
            self.cuts |= new

    def uncut(self, pairs):
        """Take some cuts back."""
        old = self.cuts & set(pairs)
        if old:
            items = ", ".join(f"{network(a)} . {network(b)}" for a, b in sorted(old))
            self._run(self.enter("wan") + ["nft", f"delete element ip drlab cut {{ {items} }}"])
            self.cuts -= old

    def lose(self, percent):
        """Drop so many of 100 packets between any two places, by chance; 0: none any more."""
        rule = f"; add rule ip drlab loss numgen random mod 100 < {percent} drop" if percent else ""
        self._run(self.enter("wan") + ["nft", f"flush chain ip drlab loss{rule}"])

    def isolate(self, site):
        """Cut a site off, both ways, from all others and from the client."""
        others = [p for p in (*SITES, CLIENT) if p != site]
        self.cut([(site, o) for o in others] + [(o, site) for o in others])

    def heal(self):
        """Take every cut back."""
        self._run(self.enter("wan") + ["nft", "flush set ip drlab cut"])
        self.cuts.clear()

    def links(self, site, up):
        """Switch a site's own link to the wan, and its hosts' links, on or off."""
        names = ["wan"] + [f"to-{role}" for role in HOSTS]
        lines = [f"link set {name} {'up' if up else 'down'}" for name in names]
        if up:
            n = site_number(site)
            lines.append(f"route replace default via 10.0.{n}.1")
        self._batch(host_name(site, "router"), lines)


def possible(probe):
    """Why namespaces and cuts can't be made here, None when they can.  probe: the name to try it with."""
    try:
        run(["ip", "netns", "add", probe])
        try:
            run(["nsenter", f"--net=/run/netns/{probe}", "--", "nft", "-f", "-"], CUT_TABLE)
        finally:
            run(["ip", "netns", "del", probe])
    except (NetError, OSError, subprocess.TimeoutExpired) as e:
        return str(e)
    return None
