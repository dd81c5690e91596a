"""The agent's HTTPS as a reader meets it: certificates, tokens, and a port that is taken."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from correlator.agent.connections import Params, bounded
from correlator.agent.program import Program
from correlator.agent.settings import Settings, SettingsError

TOKEN = "a-token-of-some-length"
PEM = serialization.Encoding.PEM


def issued(directory, name, signer=None):
    """Write NAME.pem and NAME.key, signed by ``signer`` (itself where None); return what signs others."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = signer or (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    (directory / f"{name}.pem").write_bytes(made.public_bytes(PEM))
    (directory / f"{name}.key").write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return subject, key


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """A folder with a ca, an agent's and a reader's certificate, and a stranger's."""
    directory = tmp_path_factory.mktemp("papers")
    ca = issued(directory, "ca")
    issued(directory, "agent", ca)
    issued(directory, "reader", ca)
    issued(directory, "stranger")
    return directory


@contextlib.contextmanager
def serving(settings):
    """Run the agent's HTTP half; give its port."""
    program = Program(settings)
    server = program._http()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        end = time.monotonic() + 10
        while not server.started and time.monotonic() < end:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.end()
        thread.join(10)
    program._spool.close()


def settings(tmp_path, papers, **more):
    return Settings(
        id="node1", address="127.0.0.1", certificate_file=papers / "agent.pem", key_file=papers / "agent.key",
        spool_directory=tmp_path / "spool", netns_directory=tmp_path, **more,
    )  # fmt: skip


def ask(papers, port, *, paper=None, token=None):
    context = ssl.create_default_context(cafile=papers / "ca.pem")
    if paper:
        context.load_cert_chain(papers / f"{paper}.pem", papers / f"{paper}.key")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"https://127.0.0.1:{port}/v1/batches", verify=context, headers=headers)


def test_over_https_the_token_lets_in(tmp_path, papers):
    (tmp_path / "token").write_text(TOKEN)
    with serving(settings(tmp_path, papers, token_file=tmp_path / "token")) as port:
        assert ask(papers, port, token=TOKEN).status_code == 200
        assert ask(papers, port, token="another-token-entirely").status_code == 401
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/v1/batches")


def test_a_reader_s_certificate_lets_in_without_a_token(tmp_path, papers):
    with serving(settings(tmp_path, papers, client_ca_file=papers / "ca.pem")) as port:
        assert ask(papers, port, paper="reader").status_code == 200
        for paper in (None, "stranger"):
            with pytest.raises(httpx.TransportError):
                ask(papers, port, paper=paper)


def test_with_both_both_are_needed(tmp_path, papers):
    (tmp_path / "token").write_text(TOKEN)
    both = settings(tmp_path, papers, client_ca_file=papers / "ca.pem", token_file=tmp_path / "token")
    with serving(both) as port:
        assert ask(papers, port, paper="reader").status_code == 401
        assert ask(papers, port, paper="reader", token=TOKEN).status_code == 200


def test_a_certificate_that_is_none_is_one_clear_sentence(tmp_path, papers):
    (tmp_path / "bad.pem").write_text("nothing")
    bad = Settings(
        address="127.0.0.1", certificate_file=tmp_path / "bad.pem", key_file=papers / "agent.key",
        client_ca_file=papers / "ca.pem", spool_directory=tmp_path, netns_directory=tmp_path,
    )  # fmt: skip
    with pytest.raises(SettingsError, match="give PEM files"):
        Program(bad)._http()


def test_the_host_s_id_is_remembered(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    first = Program(
        Settings(spool_directory=tmp_path, netns_directory=tmp_path, token_file=tmp_path / "token")
    )
    assert first.identity() is None
    first._docker_is_up("ENGINE")
    assert first.identity() == "ENGINE"
    first._spool.close()
    second = Program(
        Settings(spool_directory=tmp_path, netns_directory=tmp_path, token_file=tmp_path / "token")
    )
    assert second.identity() == "ENGINE"
    assert "docker does not answer: containers are not named" in second.unwell()
    second._spool.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_api_that_hangs_stops_no_interval_and_is_said(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with (
        socket.socket(socket.AF_UNIX) as hanging,
        socket.create_server(("127.0.0.1", 0)) as reserved,
    ):
        hanging.bind(str(tmp_path / "docker.sock"))
        hanging.listen()  # whoever connects waits for ever
        port = reserved.getsockname()[1]
        reserved.close()
        values = {
            "id": "node1", "address": "127.0.0.1", "port": port, "token_file": tmp_path / "token",
            "spool_directory": tmp_path / "spool", "netns_directory": tmp_path, "interval_s": 0.5,
            "docker_url": f"unix://{tmp_path}/docker.sock",
        }  # fmt: skip
        flags = [flag for key, value in values.items() for flag in ("--set", f"{key}={value}")]
        running = subprocess.Popen([sys.executable, "-m", "correlator.agent", *flags])
        try:
            assert until(lambda: written(port) >= 3)
            health = httpx.get(f"http://127.0.0.1:{port}/healthz")
            assert (health.status_code, health.text) == (
                503,
                "docker does not answer: containers are not named\n",
            )
        finally:
            running.terminate()
            assert running.wait(30) == 0


def written(port):
    """Return how many intervals an agent has written; 0 where it does not answer yet."""
    try:
        lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    except httpx.HTTPError:
        return 0
    return next(
        (float(line.split()[1]) for line in lines if line.startswith("correlator_agent_intervals_total")), 0
    )


def until(true):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.2)
    return False


class _Transport:
    """As much of a transport as a connection touches."""

    def __init__(self, address):
        self.address, self.aborted = address, False

    def get_extra_info(self, name):
        return {"peername": (self.address, 1), "sockname": ("127.0.0.1", 2)}.get(name)

    def abort(self):
        self.aborted = True

    def is_closing(self):
        return self.aborted


class _Loop:
    """Keeps what is to be called later until the test calls it."""

    def __init__(self):
        self.later = []

    def call_later(self, seconds, function):
        self.later.append(function)
        return threading.Timer(0, function)  # never started: only cancelled


@pytest.fixture
def connect(tmp_path, papers):
    """Return a function that opens one more connection from an address, without a network."""
    import uvicorn
    from uvicorn.server import ServerState

    loop, protocol = _Loop(), bounded(Params(per_address=3))
    config = uvicorn.Config(lambda: None, log_config=None, http=protocol, ws="none", lifespan="off")
    config.load()

    def opened(address):
        connection = protocol(config, ServerState(), {}, loop)
        connection.connection_made(_Transport(address))
        return connection

    opened.loop = loop
    return opened


def test_one_address_cannot_hold_all_connections(connect):
    mine = [connect("192.0.2.1") for _ in range(5)]
    assert [one.transport.aborted for one in mine] == [False, False, False, True, True]
    assert not connect("192.0.2.2").transport.aborted
    for one in mine[2:]:
        one.connection_lost(OSError())
    assert not connect("192.0.2.1").transport.aborted


def test_a_connection_that_never_sends_a_whole_request_is_let_go(connect):
    silent, slow = connect("192.0.2.1"), connect("192.0.2.1")
    slow.data_received(b"GET /healthz HTTP/1.1\r\nHost:")
    for look in list(connect.loop.later):
        look()
    assert silent.transport.aborted
    assert slow.transport.aborted


def test_a_connection_whose_request_is_being_answered_stays(connect):
    class Answering:
        response_complete = False

    working = connect("192.0.2.1")
    working.cycle = Answering()
    for _ in range(3):
        connect.loop.later.pop()()
    assert not working.transport.aborted
    working.cycle.response_complete = True
    connect.loop.later.pop()()  # it may ask again until the next look
    assert working.transport.aborted
