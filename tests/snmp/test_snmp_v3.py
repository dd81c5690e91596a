"""SNMPv3 and v1 against Debian's snmpd: every kind of user gets in, and who does not is told why."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from correlator.snmp.control import SnmpClient
from correlator.snmp.errors import NoAnswerError, RefusedError, SnmpError, UserError
from correlator.snmp.target import Community, Credentials, CredentialsError, Target, User

SNMPD = shutil.which("snmpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
SYS_NAME, UPTIME, IF_DESCR, NOT_THERE = (
    (1, 3, 6, 1, 2, 1, 1, 5, 0),
    (1, 3, 6, 1, 2, 1, 1, 3, 0),
    (1, 3, 6, 1, 2, 1, 2, 2, 1, 2),
    (1, 3, 6, 1, 2, 1, 99, 99, 0),
)
AUTH, PRIV = "a-password-to-sign", "a-password-to-hide"
USERS = {
    "plain": User("plain"),
    "md5des": User("md5des", "md5", AUTH, "des", PRIV),
    "shaaes": User("shaaes", "sha256", AUTH, "aes128", PRIV),
    "sha512": User("sha512", "sha512", AUTH),
    "sha1aes": User("sha1aes", "sha1", AUTH, "aes128", PRIV),
    "aes256": User("aes256", "sha512", AUTH, "aes256", PRIV),
    # digests whose key is too short and must be extended, in either of the two ways that are in use
    "sha1aes192": User("sha1aes192", "sha1", AUTH, "aes192", PRIV),
    "sha1aes256": User("sha1aes256", "sha1", AUTH, "aes256", PRIV),
    "md5aes256": User("md5aes256", "md5", AUTH, "aes256", PRIV),
    "sha1aes192c": User("sha1aes192c", "sha1", AUTH, "aes192c", PRIV),
    "sha1aes256c": User("sha1aes256c", "sha1", AUTH, "aes256c", PRIV),
}
CONF = f"""
createUser plain
createUser md5des MD5 "{AUTH}" DES "{PRIV}"
createUser shaaes SHA-256 "{AUTH}" AES "{PRIV}"
createUser sha512 SHA-512 "{AUTH}"
createUser sha1aes SHA "{AUTH}" AES "{PRIV}"
createUser aes256 SHA-512 "{AUTH}" AES-256 "{PRIV}"
createUser sha1aes192 SHA "{AUTH}" AES-192 "{PRIV}"
createUser sha1aes256 SHA "{AUTH}" AES-256 "{PRIV}"
createUser md5aes256 MD5 "{AUTH}" AES-256 "{PRIV}"
createUser sha1aes192c SHA "{AUTH}" AES-192-C "{PRIV}"
createUser sha1aes256c SHA "{AUTH}" AES-256-C "{PRIV}"
rouser sha1aes192 priv
rouser sha1aes256 priv
rouser md5aes256 priv
rouser sha1aes192c priv
rouser sha1aes256c priv
rouser plain noauth
rouser md5des priv
rouser shaaes priv
rouser sha512 auth
rouser sha1aes priv
rouser aes256 priv
rocommunity a-community 127.0.0.1
sysName leaf-under-test
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start an snmpd of our own on a free loopback port; it ends with the tests."""
    number = free_port()
    with snmpd(tmp_path_factory.mktemp("snmpd"), number):
        yield number


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def snmpd(folder: Path, number: int, more: str = "") -> Iterator[None]:
    """Run snmpd on a loopback port, with an engine id of its own for each folder."""
    if SNMPD is None:
        pytest.skip("snmpd is missing (Debian package snmpd)")
    conf = folder / "snmpd.conf"
    conf.write_text(f"agentAddress udp:127.0.0.1:{number}\n{CONF}{more}")
    environment = os.environ | {"SNMP_PERSISTENT_DIR": str(folder / "state"), "MIBS": ""}
    command = [SNMPD, "-f", "-Lf", str(folder / "log"), "-C", "-c", str(conf), "-p", str(folder / "pid")]
    process = subprocess.Popen([*command, "-I", "-smux"], env=environment)
    try:
        _wait(folder / "log", process)
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while not log.exists() or "NET-SNMP version" not in log.read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def target(port: int, credentials: Credentials) -> Target:
    return Target("127.0.0.1", port, credentials, timeout_s=2.0, retries=1)


async def failure(port: int, credentials: Credentials) -> SnmpError:
    async with SnmpClient() as client:
        with pytest.raises(SnmpError) as caught:
            await client.get(target(port, credentials), [SYS_NAME])
    return caught.value


@pytest.mark.real
@pytest.mark.anyio
@pytest.mark.parametrize("name", sorted(USERS))
async def test_each_kind_of_user_reads_values_and_tables(port: int, name: str) -> None:
    async with SnmpClient() as client:
        agent = target(port, USERS[name])
        values = await client.get(agent, [SYS_NAME, NOT_THERE])
        walked = await client.walk_columns(agent, [IF_DESCR], [UPTIME])
    assert values == {SYS_NAME: b"leaf-under-test", NOT_THERE: None}
    assert walked.why_incomplete is None
    assert b"lo" in {row[IF_DESCR] for row in walked.rows.values()}


@pytest.mark.real
@pytest.mark.anyio
async def test_users_and_communities_share_a_client(port: int) -> None:
    async with SnmpClient() as client:
        for credentials in (USERS["shaaes"], Community("a-community"), USERS["md5des"], USERS["shaaes"]):
            values = await client.get(target(port, credentials), [SYS_NAME])
            assert values[SYS_NAME] == b"leaf-under-test"


@pytest.mark.real
@pytest.mark.anyio
@pytest.mark.parametrize("name", ["sha512", "shaaes"])
async def test_a_device_that_comes_back_under_another_engine_id_is_read_at_once(
    tmp_path: Path, name: str
) -> None:
    number = free_port()
    agent = Target("127.0.0.1", number, USERS[name], timeout_s=0.5, retries=2)
    async with SnmpClient() as client:
        for engine in ("first", "second"):
            (tmp_path / engine).mkdir()
            with snmpd(tmp_path / engine, number, f"engineID {engine}\n"):
                assert await client.get(agent, [SYS_NAME]) == {SYS_NAME: b"leaf-under-test"}


@pytest.mark.real
@pytest.mark.anyio
async def test_a_device_that_was_read_and_falls_silent_is_not_said_to_shut_us_out(tmp_path: Path) -> None:
    number = free_port()
    agent = Target("127.0.0.1", number, USERS["shaaes"], timeout_s=0.2, retries=1)
    async with SnmpClient() as client:
        with snmpd(tmp_path, number):
            await client.get(agent, [SYS_NAME])
        with pytest.raises(NoAnswerError):
            await client.get(agent, [SYS_NAME])


@pytest.mark.real
@pytest.mark.anyio
async def test_version_one_ends_its_tables_without_complaint(port: int) -> None:
    async with SnmpClient() as client:
        agent = target(port, Community("a-community", "1"))
        values = await client.get(agent, [SYS_NAME, NOT_THERE])
        walked = await client.walk_columns(agent, [IF_DESCR], [UPTIME])
    assert values == {SYS_NAME: b"leaf-under-test", NOT_THERE: None}
    assert walked.why_incomplete is None
    assert b"lo" in {row[IF_DESCR] for row in walked.rows.values()}


@pytest.mark.real
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        (User("stranger", "sha256", AUTH), "knows no such user"),
        (User("shaaes", "sha256", "not-the-password", "aes128", PRIV), "the digest is wrong"),
        (User("shaaes", "sha512", AUTH, "aes128", PRIV), "the digest is wrong"),
        (User("shaaes", "sha256", AUTH, "aes128", "not-the-password"), "check the privacy protocol"),
        (User("plain", "md5", AUTH), "another security level"),
    ],
)
async def test_who_is_shut_out_is_told_why(port: int, credentials: User, said: str) -> None:
    error = await failure(port, credentials)
    assert isinstance(error, UserError)
    assert said in str(error)
    assert credentials.name in str(error)
    assert "not-the-password" not in str(error)


@pytest.mark.real
@pytest.mark.anyio
async def test_less_security_than_the_device_wants_is_refused(port: int) -> None:
    assert isinstance(await failure(port, User("shaaes", "sha256", AUTH)), RefusedError)
    assert isinstance(await failure(port, Community("not-the-community")), NoAnswerError)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "a", "priv": "des", "priv_password": PRIV}, "privacy needs authentication"),
        ({"name": "a", "auth": "sha3", "auth_password": AUTH}, "is none of md5"),
        ({"name": "a", "auth": "md5", "auth_password": "short"}, "8 characters"),
    ],
)
def test_credentials_that_do_not_fit_together_are_named(arguments: dict[str, str], said: str) -> None:
    with pytest.raises(CredentialsError, match=said):
        User(**arguments)


def test_passwords_are_not_shown() -> None:
    shown = repr(Target("192.0.2.1", 161, USERS["shaaes"]))
    assert AUTH not in shown
    assert PRIV not in shown
