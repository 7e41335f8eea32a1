"""case_services.py -- two services under one agent a site: what happens to one is nothing to the other."""

import measure
from cluster import member_of
from faults import A, kill_server
from scene import all_joined, case, eventually, events_of, expect, kill_node, new_acks, verdict
from servers import DNS_SERVERS

B = "az-b"
PAUSE_MAX = 1.0  # of the service that nothing happens to, on a machine that is busy


def two_services(scenes, **changes):
    """Two stands in one lab, both adopted, both with clients."""
    orders = scenes.stand()
    stock = orders.beside()
    orders.up(adopt=False)
    orders.adopt(**changes)
    for one in (orders, stock):
        one.start_writers()
    return orders, stock


def named(stand, site):
    """Wait until every DNS server names a site's member for the service."""
    def answers():
        return {stand.dns.answer(server, stand.cluster.record) for server in DNS_SERVERS}
    eventually(stand, f"{stand.cluster.record} to name {site}", lambda: answers() == {stand.address(site)})


def whole(stands, sites):
    """Wait until each service is whole with its primary in its site, and its name says so."""
    for stand, site in zip(stands, sites):
        expect(all_joined(stand) == site, f"the primary of {stand.cluster.name} in {site}")
        named(stand, site)


@case("services-db-kill")
def services_db_kill(scenes):
    """Two services under one agent, one's server killed: that one moves, the other's writes never pause."""
    orders, stock = two_services(scenes)
    began = measure.now()
    kill_server(orders)
    new = orders.first_new_ack(20)[1]
    whole((orders, stock), (new, A))
    new_acks(stock, A)
    pause = measure.largest_gap(stock.writers.read().acks((1, 2, 3)), began, measure.now())
    expect(pause <= PAUSE_MAX, f"no pause above {PAUSE_MAX} s of the other service", f"saw {pause:.3f} s")
    expect(stock.cluster.service().get("epoch") == 1, "no other epoch of it", stock.cluster.service())
    return {**verdict(orders, [A, new]), "other": verdict(stock, [A]), "pause_s": round(pause, 3)}


@case("services-node-kill")
def services_node_kill(scenes):
    """Two services under one agent, the host of both primaries killed: both move, both are whole again."""
    orders, stock = two_services(scenes)
    kill_node(orders, A, beside=[stock])
    stock.fault = orders.fault
    new = [one.first_new_ack(30)[1] for one in (orders, stock)]
    orders.cluster.start_guard(A)
    whole((orders, stock), new)
    return {**verdict(orders, [A, new[0]]), "other": verdict(stock, [A, new[1]])}


@case("services-apart")
def services_apart(scenes):
    """Two services with primaries in two sites: a host's death moves one and takes the other's standby."""
    orders, stock = two_services(scenes, cooldown="1s")
    stock.cluster.ctl("switchover", "stock", "--to", "pg-b", "--reason", "apart")
    new_acks(stock, B)
    whole((orders, stock), (A, B))
    kill_node(orders, A, beside=[stock])
    new = orders.first_new_ack(30)[1]
    new_acks(stock, B)
    orders.cluster.start_guard(A)
    whole((orders, stock), (new, B))
    expect(len(orders.cluster.pids()) == 9, "all of ours to run", orders.cluster.pids())
    return {**verdict(orders, [A, new]), "other": verdict(stock, [A, B])}


def primary(stand):
    """The name of a service's primary; None without one."""
    return stand.cluster.service().get("primary")


@case("services-limited")
def services_limited(scenes):
    """Two primaries lost where the spec lets one move: the first moves, the second says what it waits for, and is freed."""
    both = two_services(scenes, limits={"automatic_moves": 1, "within": "10m"})
    kill_node(both[0], A, beside=[both[1]])
    both[1].fault = both[0].fault
    first = eventually(both[0], "one of the two to be moved",
                       lambda: next((one for one in both if primary(one) not in (None, member_of(A))), None))
    second = both[1] if first is both[0] else both[0]
    new = first.first_new_ack(30)[1]
    told = events_of(both[0], "moves.limited")
    expect([e["service"] for e in told] == [first.cluster.name], "one event that says so, of the first", told)
    # The other was lost at the same moment, and for the same reason: it is not that it was not seen.
    eventually(second, "its primary to be lost, too", lambda: state_of(second, member_of(A)) == "lost")
    expect(second.cluster.service()["automatic_failover_blocked"] == "moves_limited", "it to wait for the limit")
    said = second.cluster.ctl("explain", second.cluster.name)
    for words in ("moved as many primaries by itself as the spec's limits allow", "`drcoordctl failover`: "):
        expect(words in said, f"explain to say {words}", said)
    expect("moves_limited" in second.cluster.ctl("status"), "status to say so")
    service = second.cluster.service()
    expect(service["epoch"] == 1 and not service.get("plan"), "nothing to have been done", service)
    second.cluster.ctl("failover", second.cluster.name, "--reason", "the host is dead", person="operator")
    after = second.first_new_ack(30)[1]
    both[0].cluster.start_guard(A)
    whole((first, second), (new, after))
    return {**verdict(first, [A, new]), "first": first.cluster.name, "other": verdict(second, [A, after])}


def state_of(stand, member):
    """The verdict on a member, as status has it."""
    return next((m["state"] for m in stand.cluster.service().get("members", []) if m["name"] == member), None)
