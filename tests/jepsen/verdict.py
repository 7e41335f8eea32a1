"""verdict.py -- what every checker answers: valid (True, False or "unknown"), the problems in words, and figures.

A verdict is plain data, so that it can be kept as JSON beside its history.  "unknown" is not a pass: the checker
could not decide, and says why."""

SHOWN_MAX = 20


def problem(kind, text, ops=(), wall_s=None):
    """One violation: its name, what happened in words, the indices of the operations in it, and where there are none
    the time (seconds since 1970)."""
    return {"type": kind, "text": text, "ops": list(ops), "wall_s": wall_s}


def verdict(checker, problems, unknown=(), **figures):
    """The verdict of a checker.  A violation outweighs what could not be decided."""
    valid = False if problems else "unknown" if unknown else True
    return {"checker": checker, "valid": valid, "problems": list(problems), "unknown": list(unknown), **figures}


def kinds(result):
    """The names of the violations in a verdict."""
    return sorted({p["type"] for p in result["problems"]})


def short(value, most=60):
    """Any value in a few characters."""
    text = str(value)
    return text if len(text) <= most else text[:most - 4] + " ..."


def figure(value):
    """A figure of a verdict for one line: long lists only by their length."""
    if isinstance(value, (list, tuple)):
        return str(list(value)) if len(value) <= 10 else f"{len(value)} of them"
    return str(value)


def lines(result):
    """A verdict for people, line by line."""
    words = {True: "valid", False: "NOT VALID"}
    yield f"{result['checker']}: {words.get(result['valid'], 'unknown')}"
    for entry in result["problems"][:SHOWN_MAX]:
        yield f"  {entry['type']}: {entry['text']}"
    if len(result["problems"]) > SHOWN_MAX:
        yield f"  and {len(result['problems']) - SHOWN_MAX} more"
    for why in result["unknown"]:
        yield f"  unknown: {why}"
    skip = ("checker", "valid", "problems", "unknown")
    known = [f"{name} {figure(value)}" for name, value in result.items() if name not in skip]
    if known:
        yield "  " + ", ".join(known)
