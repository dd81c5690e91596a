"""Certificates for receivers and for us, made with openssl: an authority, two of its, one of nobody's."""

import shutil
import subprocess
from pathlib import Path

import pytest


def certificates(folder: Path) -> dict[str, Path]:
    """Return PEM files by name: ca, and server, client and stranger with their _key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing (Debian package openssl)")
    made = {name: folder / f"{name}.pem" for name in ("ca", "ca_key")}
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=test authority", "-keyout", str(made["ca_key"]), "-out", str(made["ca"]),
    )  # fmt: skip
    for name in ("server", "client"):
        made |= _certificate(folder, name, made)
    return made | _certificate(folder, "stranger", None)


def _certificate(folder: Path, name: str, authority: dict[str, Path] | None) -> dict[str, Path]:
    paths = {name: folder / f"{name}.pem", f"{name}_key": folder / f"{name}_key.pem"}
    signed = ["-CA", str(authority["ca"]), "-CAkey", str(authority["ca_key"])] if authority else []
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", str(paths[f"{name}_key"]), "-out", str(paths[name]), *signed,
    )  # fmt: skip
    return paths


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
