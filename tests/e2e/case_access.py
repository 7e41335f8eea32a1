"""case_access.py -- who may do what: certificates and roles."""

from scene import case, expect, verdict
from faults import A


def refused(stand, words, person, *told):
    """A verb that must be refused, with these words in what it says; the text."""
    worked, text = stand.cluster.try_ctl(*words, person=person)
    expect(not worked, f"{person} to be refused {' '.join(words)}", text)
    expect(any(t in text.lower() for t in told), f"one of {told} in the answer", text)
    return text.strip()[-300:]


@case("role-denied")
def role_denied(scenes):
    """A viewer may look but not switch over; an operator may; the refusal names the role."""
    stand = scenes.up()
    stand.cluster.ctl("status", person="viewer")
    verb = ["switchover", "orders", "--to", "pg-b", "--reason", "test"]
    told = refused(stand, verb, "viewer", "role", "operator")
    stand.cluster.ctl("pause", "orders", "--reason", "test", person="operator")
    stand.cluster.ctl("resume", "orders", "--reason", "test", person="operator")
    return {**verdict(stand, [A]), "told": told}


@case("cert-foreign")
def cert_foreign(scenes):
    """A certificate of another CA gets nothing, not even the status."""
    stand = scenes.up()
    stand.cluster.pki("init", "--dir", stand.cluster.file("other"), "--cluster", "demo")
    stand.cluster.issue("admin", "stranger", ca="other")
    told = refused(stand, ["status"], "stranger", "certificate", "tls")
    return {**verdict(stand, [A]), "told": told}
