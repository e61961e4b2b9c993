"""Certificates for the servers' names: an authority, and chains of several lengths."""

import shutil
import subprocess

from . import cases

NAMES = "DNS:server,DNS:server4,DNS:server6,DNS:server46,DNS:localhost"


def openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError("openssl makes no certificate: " + done.stderr.strip()[-300:])


def key(path, kind):
    openssl(*(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
              if kind == "ec" else
              ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
            "-out", str(path))


def make(folder):
    """FOLDER/chain-N with cert.pem (N certificates without the authority), priv.key and ca.pem."""
    for length in sorted({case.chain for case in cases.CASES}):
        chain = folder / f"chain-{length}"
        shutil.rmtree(chain, ignore_errors=True)
        chain.mkdir(parents=True)
        # Long chains are to be long in bytes, too.
        kind = "ec" if length == 1 else "rsa"
        key(chain / "ca.key", "ec")
        openssl("req", "-x509", "-new", "-key", str(chain / "ca.key"), "-subj",
                "/CN=interop authority", "-days", "2", "-addext",
                "basicConstraints=critical,CA:TRUE", "-out", str(chain / "ca.pem"))
        issuer, certificates = "ca", []
        for i in range(length):
            name = "priv" if i == length - 1 else f"step{i}"
            last = i == length - 1
            key(chain / f"{name}.key", kind)
            openssl("req", "-new", "-key", str(chain / f"{name}.key"), "-subj",
                    "/CN=server4" if last else f"/CN=interop authority {i}", "-out",
                    str(chain / "request"))
            extensions = chain / "extensions"
            extensions.write_text(
                f"subjectAltName={NAMES}\nbasicConstraints=critical,CA:FALSE\n" if last else
                "basicConstraints=critical,CA:TRUE\n")
            openssl("x509", "-req", "-in", str(chain / "request"), "-CA",
                    str(chain / f"{issuer}.pem"), "-CAkey", str(chain / f"{issuer}.key"),
                    "-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out",
                    str(chain / f"{name}.pem"))
            certificates.insert(0, (chain / f"{name}.pem").read_text())
            issuer = name
        (chain / "cert.pem").write_text("".join(certificates))
        for path in chain.iterdir():
            if path.name not in ("cert.pem", "priv.key", "ca.pem"):
                path.unlink()
