"""case_access.py -- who may do what: certificates and roles."""

from faults import A
from lab import LabError
from net import CLIENT
from scene import case, expect, verdict


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


def lasts(stand, days):
    """How to ask `openssl x509` for a certificate that lasts so long; negative: from OpenSSL 3.4 on by dates."""
    if days >= 0 or "-not_after" not in stand.lab.run(CLIENT, ["sh", "-c", "openssl x509 -help 2>&1"]):
        return ["-days", str(days)]
    return ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"]


def sign(stand, name, days):
    """A certificate for an admin of ours that is valid for so many days from now, negative: it has ended."""
    file, pki = stand.cluster.file, stand.cluster.file("pki")
    with open(file("san.cnf"), "w") as f:
        f.write(f"subjectAltName=URI:drcoord:admin/{name}\n")
    stand.lab.run(CLIENT, ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                           "-nodes", "-keyout", file(f"{name}.key"), "-out", file(f"{name}.csr"),
                           "-subj", f"/CN={name}"])
    stand.lab.run(CLIENT, ["openssl", "x509", "-req", "-in", file(f"{name}.csr"), "-CA", f"{pki}/ca.crt",
                           "-CAkey", f"{pki}/ca.key", "-CAcreateserial", *lasts(stand, days),
                           "-extfile", file("san.cnf"), "-out", file(f"{name}.crt")])


@case("cert-expired")
def cert_expired(scenes):
    """An expired certificate of our own CA is refused, and the message says that it expired."""
    stand = scenes.up()
    sign(stand, "valid", 1)
    stand.cluster.ctl("status", person="valid")
    try:
        sign(stand, "expired", -1)
    except LabError as e:
        expect(False, "openssl to sign a certificate that has ended", e)
    told = refused(stand, ["status"], "expired", "expired")
    return {**verdict(stand, [A]), "told": told}
