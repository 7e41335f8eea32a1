"""case_faults.py -- every fault of the quickstart, judged: bounds, nothing lost, never two primaries."""

from faults import FAULTS
from scene import CASES, Case, expect
from stand import Run

TOLERANCE = 1.5


def judge(fault, record):
    """What a run's record must show."""
    expect(record["lost_acked"] == 0, "no acknowledged row to be lost", record["lost_by_writer"])
    expect(record["split_brain_s"] == 0, "never two servers acknowledging", record["split_brain_s"])
    value = record[fault.measure]
    expect(value is not None and value <= TOLERANCE * fault.target,
           f"{fault.measure} <= {TOLERANCE} x {fault.target}", f"it was {value}")
    if fault.moves:
        expect(record["fence_proof"], "a fence proof to be recorded")


def fault_case(fault):
    """The case of one fault; one that looks at the leader's place runs with it in site a and outside."""
    def go(scenes):
        figures = []
        for number in (1, 2) if fault.in_turn else (1,):
            stand = scenes.stand()
            record = Run(stand.up(), fault, number).go()
            shown = ("leader_site", fault.measure, "name_downtime_s", "fence_proof")
            figures.append({k: record[k] for k in shown})
            judge(fault, record)
            stand.lab.close()
        return {"figures": figures}
    go.__doc__ = f"{fault.help}: {fault.measure} <= {fault.target} s, nothing lost"
    return go


for _fault in FAULTS.values():
    CASES[_fault.name] = Case(fault_case(_fault))
