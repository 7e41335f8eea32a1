"""quickstart.py -- a site dies; its database servers' work, their DNS names and their clients move.

Stands up three sites with real servers, drcoord and clients, injects a fault, shows the events while it
happens, and says what the clients saw.  Everything is removed at the end, however it ends."""

import argparse
import json
import os
import sys
import time

import measure
import net
import reaper
from cluster import member_of
from faults import FAULTS
from lab import BUILD, ROOT, LabError, Reaper, keep_logs
from stand import ALL, KINDS, Run, Stand, target_of
from servers import PRIMARY_SITE

SHOWN = ("downtime_s", "gap_s", "name_downtime_s", "lost_acked", "split_brain_s",
         "old_last_ack_after_fault_s", "old_rejoined_s", "dns_s")
BEGAN = time.monotonic()
LOOKED = 77  # the arguments are well: ./quickstart may go on


def progress(text):
    """One line of what is being done, with the seconds since the start."""
    print(f"[{time.monotonic() - BEGAN:6.2f} s] {text}", flush=True)


def event_line(event, stand):
    """An event of `drcoordctl watch` as one line; its time counts from the fault, once there is one."""
    fault, several = stand.fault, stand.together
    when = "         "
    if fault:
        when = f"{event.get('wall_ms', 0) / 1000 - measure.wall_of(fault):+8.3f} "
    words = [event.get(key) for key in ("event", *["service"] * several, "plan_kind", "step" if "step" in event else "order",
                                        "member", "proof")]
    line = " ".join(str(w) for w in words if w)
    text = event.get("text")
    return f"  watch {when} {line}{': ' + text if text and text != line else ''}"


def timeline(run):
    """The run in the words of the design: (seconds since the fault, what), in order."""
    stand = run.stand
    base = measure.wall_of(stand.fault)
    rows = [(0.0, f"fault: {run.fault.name}")]
    marks = {"incident.opened": "detected", "plan.opened": "decided", "fence.proved": "fenced",
             "primary.confirmed": "promoted"}
    steps = {"freeze": "frozen"}
    for event in stand.cluster.events():
        at, kind = event.get("wall_ms", 0) / 1000 - base, event.get("event")
        what = marks.get(kind) or (steps.get(event.get("step")) if kind == "plan.step.done" else None)
        if at >= -0.001 and what:
            detail = [event.get("plan_kind"), event.get("member"), event.get("proof"), event.get("text")]
            tag = f"{event.get('service')}: " if stand.together and event.get("service") else ""
            rows.append((at, f"{tag}{what} ({', '.join(str(d) for d in detail if d)})"))
    for one in run.outcomes:
        rows += own_rows(one)
    return sorted(rows, key=lambda row: row[0])


def own_rows(one):
    """The rows of one service that its clients and servers tell."""
    tag, rows = one.stand.tag, []
    if one.figures["dns_s"] is not None:
        rows.append((one.figures["dns_s"], f"{tag}the DNS name is new on all servers (asked by the client)"))
    if one.first_ack:
        rows.append((one.first_ack - one.stand.fault, f"{tag}first acknowledged write on {member_of(one.new_site)}"))
    if one.figures["old_rejoined_s"] is not None:
        rows.append((one.figures["old_rejoined_s"], f"{tag}{member_of(PRIMARY_SITE)} rejoined as a standby"))
    return rows


def show_run(run, record):
    """The summary of one run."""
    print(f"\nTimeline of {record['fault']}, seconds after the fault (leader in {record['leader_site']})")
    for at, what in timeline(run):
        print(f"  {at:8.3f}  {what}")
    lost = record["lost_by_writer"]
    print("\nWhat the clients saw" + (", until the last of the services" if run.stand.together else ""))
    print(f"  writes resumed after (RTO)            {seconds(record['downtime_s'])}")
    print(f"  the same for the client by name       {seconds(record['name_downtime_s'])}")
    print(f"  longest pause of the outside clients  {seconds(record['gap_s'])}")
    print(f"  acknowledged rows lost                {record['lost_acked']}"
          + (f"  ({', '.join(f'{w}: {n}' for w, n in lost.items())})" if lost else ""))
    print(f"  two servers acknowledged for          {seconds(record['split_brain_s'])}")
    print(f"  fence proof                           {record['fence_proof'] or '-'}")
    if run.stand.pooler:
        print(f"  longest wait behind pgbouncer         {seconds(record['pooled_longest_s'])}  ({record['pooled_errors']} errors)")
    show_services(record.get("services", []))


def show_services(services):
    """A row for each of several services."""
    if services:
        print(f"\n  {'service':<8} {'kind':<9} {'durability':<11} {'primary':<8} {'RTO':>9} {'by name':>9} {'gap':>9}"
              f" {'lost':>5} {'split':>7}")
    for one in services:
        times = [one[f] for f in ("downtime_s", "name_downtime_s", "gap_s")]
        print(f"  {one['service']:<8} {one['kind']:<9} {one['durability']:<11} {one['primary']:<8} " +
              " ".join(f"{seconds(t):>9}" for t in times) + f" {one['lost_acked']:>5} {seconds(one['split_brain_s']):>7}")


def show_sizes(record):
    """Memory and processor time of each process of ours."""
    print(f"\n  {'process':<10} {'rss MiB':>8} {'pss MiB':>8} {'cpu %':>7}")
    for name in record["rss_mb"]:
        cells = [record[k][name] for k in ("rss_mb", "pss_mb", "cpu_pct")]
        texts = ["-" if c is None else str(c) for c in cells]
        print(f"  {name:<10} {texts[0]:>8} {texts[1]:>8} {texts[2]:>7}")


def seconds(value):
    """A figure in seconds, or a dash."""
    return "-" if value is None else f"{value:.3f} s"


def show_spread(records, fault):
    """Medians and spread over several runs, beside what is to be reached."""
    wanted = target_of(records[0]["kind"], fault)
    print(f"\n{len(records)} runs of {fault.name}       median      least       most")
    for field in SHOWN:
        got = measure.spread([r[field] for r in records])
        if got:
            goal = f"   (to reach: {wanted})" if field == fault.measure and wanted is not None else ""
            print(f"  {field:<28}" + " ".join(f"{v:>10.3f}" for v in got) + goal)


def where_next(stand):
    """How to look around, for --keep."""
    env = " ".join(f"{k}={v}" for k, v in stand.cluster.environment().items())
    enter = " ".join(stand.lab.command(net.CLIENT, []))
    ctl = stand.cluster.bin["drcoordctl"]
    print(f"\nEverything stands in {stand.lab.folder} (etc/, log/).  As root, for example:\n"
          f"  {enter} env {env} {ctl} status\nCtrl-C ends and removes it.", flush=True)
    while True:
        time.sleep(3600)


def one_run(args, number, loopback):
    """Stand everything up, inject, measure, show; the record, and what must never happen, as complaints."""
    fault = FAULTS[args.fault]
    with Stand(BUILD, args.profile, args.durability, loopback, progress, kind=args.kind, pooled=args.pgbouncer) as stand:
        stand.on_event = lambda e: print(event_line(e, stand), flush=True)
        run = Run(stand.up(), fault, number)
        record = run.go()
        show_run(run, record)
        show_sizes(record)
        bad = [f"run {number}: {b}" for b in run.complaints()]
        if bad or too_slow(record, fault) or run.unprovoked:
            target = os.path.join(ROOT, "build", "slow", f"{fault.name}-{number}")
            keep_logs(stand.lab.folder, target)
            progress(f"not as it should be; the logs stay in {target}")
        if args.keep and number == args.runs:
            where_next(stand)
    return record, bad


def idle(args, loopback):
    """No fault and no clients: what our processes need when nothing happens."""
    with Stand(BUILD, args.profile, args.durability, loopback, progress, kind=args.kind) as stand:
        stand.up()
        usage = measure.Usage(stand.cluster.pids())
        progress(f"idle for {args.idle:g} s")
        time.sleep(args.idle)
        record = {"fault": None, "kind": args.kind, "profile": args.profile, "durability": stand.durability(), "run": 1,
                  "leader_site": stand.cluster.leader(), **usage.figures(stand.cluster.pids())}
        show_sizes(record)
        if args.keep:
            where_next(stand)
    return {field: record.get(field) for field in measure.FIELDS}


def save(path, records):
    """One JSON line a run."""
    with open(path, "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in records)


def too_slow(record, fault):
    """Whether a run took more than one and a half times what a median of them is to reach."""
    value, wanted = record[fault.measure], target_of(record["kind"], fault)
    return record["profile"] == "metro" and None not in (value, wanted) and value > 1.5 * wanted


def arguments():
    """The command line."""
    table = "\n".join(f"  {f.name:<15} {f.help}" for f in FAULTS.values())
    p = argparse.ArgumentParser(prog="quickstart", description=__doc__, epilog=f"faults:\n{table}",
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--fault", choices=FAULTS, metavar="F", help="what goes wrong (default: site)")
    p.add_argument("--runs", type=int, default=1, metavar="N", help="how often, each on fresh servers")
    p.add_argument("--profile", choices=("metro", "default"), default="metro", help="timing (default: metro)")
    p.add_argument("--kind", choices=(*KINDS, ALL), default="postgres",
                   help="of the servers (default: postgres); all: three services, PostgreSQL, MariaDB and Redis, side by side")
    p.add_argument("--durability", choices=("sync", "async", "bounded"), help="default: sync where the kind has it, else async")
    p.add_argument("--pgbouncer", action="store_true", help="pgbouncer in front of the service, and a client behind it")
    p.add_argument("--json", metavar="FILE", help="write one JSON line a run")
    p.add_argument("--keep", action="store_true", help="leave everything standing at the end, until Ctrl-C")
    p.add_argument("--only-look", action="store_true", help=argparse.SUPPRESS)  # at the arguments: before there are packages
    p.add_argument("--idle", type=float, metavar="S", help="no fault: sizes and processor time, S seconds")
    args = p.parse_args()
    if args.runs < 1:
        p.error("--runs: at least 1")
    if args.idle is not None and not 0 < args.idle < 86400:
        p.error("--idle: seconds, more than 0 and less than a day")
    if args.json and (os.path.isdir(args.json) or not os.path.isdir(os.path.dirname(os.path.abspath(args.json)))):
        p.error(f"--json {args.json}: no file can be there")
    if args.pgbouncer and args.kind != "postgres":
        p.error("--pgbouncer stands in front of PostgreSQL: --kind postgres")
    if args.kind != ALL:
        has = KINDS[args.kind].durabilities
        args.durability = args.durability or has[0]
        if args.durability not in has:
            p.error(f"--durability {args.durability}: {args.kind} has {' and '.join(has)}")
    return args


def choose_network(args):
    """Whether loopback addresses must do; the default fault is one that the network allows."""
    why = net.possible(f"{reaper.owner_name(os.getpid())}-p-probe")
    possible = [f.name for f in FAULTS.values() if not (why and f.needs_spaces)]
    if why:
        progress(f"network namespaces can't be made here ({why})")
        progress("so: loopback addresses instead of sites, and kill faults only")
    args.fault = args.fault or ("db-kill" if why else "site")
    if args.fault not in possible:
        raise LabError(f"--fault {args.fault} needs network namespaces; possible here: {', '.join(possible)}")
    return bool(why)


def main():
    """All runs, their summary, and the verdict as the exit code."""
    args = arguments()
    if args.only_look:
        return LOOKED
    if os.geteuid() != 0:
        print("quickstart: needs root (namespaces, cgroups, servers under their own users)", file=sys.stderr)
        return 2
    records, bad = [], []
    try:
        Reaper.start()
        loopback = choose_network(args)
        if args.idle:
            records.append(idle(args, loopback))
        for number in range(1, 1 if args.idle else args.runs + 1):
            record, wrong = one_run(args, number, loopback)
            records.append(record)
            bad += wrong
    except (LabError, net.NetError) as e:
        print(f"\nquickstart: {e}", file=sys.stderr)
        return 1
    finally:
        if args.json:
            save(args.json, records)
        Reaper.finish()
    if len(records) > 1:
        show_spread(records, FAULTS[args.fault])
    other = next(f for f in ("leader-kill" if loopback else "partition", "switchover") if f != args.fault)
    print("\n".join(f"\nWRONG: {b}" for b in bad) if bad else
          f"\nDone in {time.monotonic() - BEGAN:.0f} s; everything was removed.  "
          f"Next: --fault {other}, --keep to look around, docs/ and ARCHITECTURE.md.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
