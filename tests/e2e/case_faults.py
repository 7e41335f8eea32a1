"""case_faults.py -- every fault of the quickstart, judged: nothing lost, never two primaries, moved or not.

How fast is ./quickstart's to measure, on a machine that does nothing else; here it is only shown."""

from faults import FAULTS
from net import SITES
from scene import CASES, Case, expect, timeline_in_control_file
from stand import ALL, Run

PAUSE_MAX = 1.0  # of a fault that must not stop the writers, on a machine that is busy


def judge(run, record):
    """What a run must show."""
    bad = run.complaints()
    expect(not bad, "nothing that must never happen", *bad)
    if run.fault.moves:
        expect(record["fence_proof"] or not run.moved, "a fence proof to be recorded")
        if run.stand.pg.kind == "postgres":
            new_primary(run.stand, run.new_site)
    else:
        expect(record["gap_s"] <= PAUSE_MAX, f"no pause above {PAUSE_MAX} s", f"saw {record['gap_s']} s")


def new_primary(stand, site):
    """It has checkpointed on its new timeline, and whoever follows it asks again soon when cut off."""
    timeline_in_control_file(stand, site)
    for other in SITES:
        if other != site:
            setting = stand.pg.sql(other, "SHOW wal_retrieve_retry_interval")
            expect(setting == "20ms", f"{other} to ask again after 20ms", setting)


def fault_case(fault, durability, turns=(1, 2), kind="postgres"):
    """The case of one fault; one that looks at the leader's place runs with it in site a and outside, in turn."""
    def go(scenes):
        figures = []
        for number in turns if fault.in_turn else (1,):
            stand = scenes.stand(durability=durability, kind=kind)
            run = Run(stand.up(), fault, number)
            record = run.go()
            shown = ("leader_site", fault.measure, "name_downtime_s", "lost_acked", "fence_proof")
            figures.append({k: record[k] for k in shown})
            judge(run, record)
            stand.lab.close()
        return {"figures": figures}
    lost = {"sync": "nothing lost, never two primaries", None: "three services of three kinds, each by its durability",
            "async": "async: never two primaries, nothing lost but what the old one acknowledged under its lease"}[durability]
    go.__doc__ = f"{fault.help}: {lost}"
    return go


for _fault in FAULTS.values():
    CASES[_fault.name] = Case(fault_case(_fault, "sync"))
CASES["partition-leader"] = Case(fault_case(FAULTS["partition"], "sync", turns=(1,)))
CASES["partition-leader"].help += ", the leader with it"
CASES["partition-async"] = Case(fault_case(FAULTS["partition"], "async"))

for _fault in FAULTS.values():
    for _kind in ("mariadb", "mysql", "redis"):
        CASES[f"{_kind}-{_fault.name}"] = Case(fault_case(_fault, "async", turns=(1,), kind=_kind))
        if _kind != "redis":
            CASES[f"{_kind}-sync-{_fault.name}"] = Case(fault_case(_fault, "sync", turns=(1,), kind=_kind))
    if _fault.name in ("db-kill", "partition", "switchover"):  # Valkey has Redis' adapter: that it is one is to be seen
        CASES[f"valkey-{_fault.name}"] = Case(fault_case(_fault, "async", turns=(1,), kind="valkey"))
    if _fault.moves and _fault.name != "partition-long":
        CASES[f"all-{_fault.name}"] = Case(fault_case(_fault, None, turns=(1,), kind=ALL))
