"""case_faults.py -- every fault of the quickstart, judged: nothing lost, never two primaries, moved or not.

How fast is ./quickstart's to measure, on a machine that does nothing else; here it is only shown."""

from faults import FAULTS
from scene import CASES, Case, expect
from stand import Run

PAUSE_MAX = 1.0  # of a fault that must not stop the writers, on a machine that is busy


def judge(fault, record):
    """What a run's record must show."""
    expect(record["split_brain_s"] == 0, "never two servers acknowledging", record["split_brain_s"])
    if record["durability"] == "sync":
        expect(record["lost_acked"] == 0, "no acknowledged row to be lost", record["lost_by_writer"])
    if fault.moves:
        expect(record["fence_proof"], "a fence proof to be recorded")
    else:
        expect(record["gap_s"] <= PAUSE_MAX, f"no pause above {PAUSE_MAX} s", f"saw {record['gap_s']} s")


def fault_case(fault, durability):
    """The case of one fault; one that looks at the leader's place runs with it in site a and outside."""
    def go(scenes):
        figures = []
        for number in (1, 2) if fault.in_turn else (1,):
            stand = scenes.stand(durability=durability)
            record = Run(stand.up(), fault, number).go()
            shown = ("leader_site", fault.measure, "name_downtime_s", "lost_acked", "fence_proof")
            figures.append({k: record[k] for k in shown})
            judge(fault, record)
            stand.lab.close()
        return {"figures": figures}
    lost = "nothing lost, never two primaries" if durability == "sync" else "async: never two primaries"
    go.__doc__ = f"{fault.help}: {lost}"
    return go


for _fault in FAULTS.values():
    CASES[_fault.name] = Case(fault_case(_fault, "sync"))
CASES["partition-async"] = Case(fault_case(FAULTS["partition"], "async"))
