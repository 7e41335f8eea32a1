"""case_services.py -- two services under one agent a site: what happens to one is nothing to the other."""

import measure
from faults import A, kill_server
from scene import all_joined, case, eventually, expect, kill_node, new_acks, verdict
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
