"""measure.py -- what the clients saw, as the figures of a run; and the sizes of our processes.

Times are seconds of CLOCK_BOOTTIME, the clock of the writers' logs."""

import os
import statistics
import time

from writers import BY_NAME, NAMES, OUTSIDE

STEADY_GAP = 0.1
CLOCK_ERROR = 0.05  # between an act of ours and the time taken for it
FIELDS = ("fault", "kind", "profile", "durability", "run", "leader_site", "downtime_s", "gap_s", "name_downtime_s",
          "lost_acked", "lost_by_writer", "split_brain_s", "old_last_ack_after_fault_s", "old_rejoined_s",
          "fence_proof", "dns_s", "rss_mb", "pss_mb", "cpu_pct")


def now():
    """CLOCK_BOOTTIME in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_of(boot):
    """The wall clock's time (seconds since 1970) at a time of CLOCK_BOOTTIME."""
    return boot + time.time() - now()


def rounded(seconds):
    """To milliseconds; None stays None."""
    return None if seconds is None else round(seconds, 3)


def first_from(acks, server, after):
    """The first answer from an address after a time."""
    return min((a.done for a in acks if a.server == server and a.done > after), default=None)


def last_from(acks, server, before=float("inf")):
    """The last answer from an address before a time."""
    return max((a.done for a in acks if a.server == server and a.done < before), default=None)


def gap_of(acks, old, new, fault):
    """From the last answer of the old server to the first of the new one."""
    first = first_from(acks, new, fault)
    last = last_from(acks, old, first) if first else None
    return first - last if first and last else None


def largest_gap(acks, begin, end):
    """The longest time without any answer between two times."""
    times = [begin] + [a.done for a in acks if begin < a.done < end] + [end]
    return max(b - a for a, b in zip(times, times[1:]))


def split_brain(acks, old, new, fault):
    """How long after the first answer of the new server the old one still gave some; 0 when it didn't."""
    first = first_from(acks, new, fault)
    last = last_from(acks, old)
    return max(0.0, last - first) if first and last else 0.0


def after_fault(acks, old, fault):
    """When, counted from the fault, the old server answered last; None when it didn't after the fault."""
    last = last_from(acks, old)
    return last - fault if last is not None and last > fault else None


def dns_time(answers, servers, new, fault):
    """From the fault until every DNS server answered with the new address."""
    times = [min((t for t, s, a in answers if s == server and a == new and t > fault), default=None)
             for server in servers]
    return max(times) - fault if times and None not in times else None


def lost_rows(writers, rows):
    """Acknowledged rows that a server does not hold: the number, and by writer."""
    lost = writers.acknowledged_rows() - rows
    by_writer = {NAMES[w]: sum(1 for x, _ in lost if x == w) for w in NAMES}
    return len(lost), {name: n for name, n in by_writer.items() if n}


def lost_acks(writers, rows):
    """The acknowledgements of rows that a server does not hold."""
    return [a for w, log in writers.logs.items() for a in log.acks if (w, a.n) not in rows]


def lost_beyond(acks, old, until):
    """Those of lost rows that no lease of the old primary covers: given elsewhere, or after its end."""
    return [a for a in acks if a.server != old or a.done > until + CLOCK_ERROR]


def moved(writers, dns_servers, old, new, fault):
    """The figures of a run in which the primary moved from one address to another."""
    every, outside, by_name = writers.acks(), writers.acks(OUTSIDE), writers.acks([BY_NAME])
    first, name_first = first_from(every, new, fault), first_from(by_name, new, fault)
    return {
        "downtime_s": rounded(first - fault if first else None),
        "gap_s": rounded(gap_of(outside, old, new, fault)),
        "name_downtime_s": rounded(name_first - fault if name_first else None),
        "split_brain_s": rounded(split_brain(every, old, new, fault)),
        "old_last_ack_after_fault_s": rounded(after_fault(every, old, fault)),
        "dns_s": rounded(dns_time(writers.dns_log.answers, dns_servers, new, fault)),
    }


def steady(writers, primary, fault, end):
    """The figures of a run in which writes must not pause: 0 when no gap was above STEADY_GAP."""
    gap = largest_gap(writers.acks(OUTSIDE), fault, end)
    name_gap = largest_gap(writers.acks([BY_NAME]), fault, end)
    elsewhere = [a.done for a in writers.acks() if a.server != primary and a.done > fault]
    both = max(0.0, last_from(writers.acks(), primary) - min(elsewhere)) if elsewhere else 0.0
    return {
        "downtime_s": 0 if gap <= STEADY_GAP else rounded(gap),
        "gap_s": rounded(gap),
        "name_downtime_s": 0 if name_gap <= STEADY_GAP else rounded(name_gap),
        "split_brain_s": rounded(both),
        "old_last_ack_after_fault_s": None,
        "dns_s": None,
    }


def together(figures):
    """The figures of several services as one, [(service, its figures)]: of times the last, of rows the sum."""
    if len(figures) == 1:
        return figures[0][1]
    every = [own for _, own in figures]
    out = {}
    for field in every[0]:
        known = [own[field] for own in every if own[field] is not None]
        if field == "lost_acked":
            out[field] = sum(known)
        elif field == "lost_by_writer":
            out[field] = {f"{name}/{who}": n for name, own in figures for who, n in own[field].items()}
        elif field == "fence_proof":
            out[field] = "+".join(sorted(set(known))) or None
        else:
            out[field] = max(known, default=None)
    return out


def memory_mb(pid):
    """Resident and proportional size of a process in MiB; (None, None) when it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            kb = {line.split(":")[0]: int(line.split()[1]) for line in f if line.endswith("kB\n")}
    except (OSError, ValueError, IndexError):
        return None, None
    return round(kb.get("Rss", 0) / 1024, 1), round(kb.get("Pss", 0) / 1024, 1)


def cpu_seconds(pid):
    """Processor time that a process has used; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Usage:
    """Processor time of our processes over a span of time, by name; one that was replaced begins anew."""

    def __init__(self, pids):
        self.began, self.pids = now(), dict(pids)
        self.first = {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    def figures(self, pids):
        """rss_mb, pss_mb and cpu_pct, each a table from a process's name to its value."""
        out = {"rss_mb": {}, "pss_mb": {}, "cpu_pct": {}}
        for name, pid in sorted(pids.items()):
            out["rss_mb"][name], out["pss_mb"][name] = memory_mb(pid)
            used, first = cpu_seconds(pid), self.first.get(name) if self.pids.get(name) == pid else None
            known = used is not None and first is not None
            out["cpu_pct"][name] = round(100 * (used - first) / (now() - self.began), 2) if known else None
        return out


def spread(values):
    """Median, least and most of the values that apply; None when none does."""
    known = [v for v in values if v is not None]
    return (statistics.median(known), min(known), max(known)) if known else None
