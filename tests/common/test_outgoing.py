"""Requests to addresses that people have typed: what they reach, and what they never reach."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common import outgoing
from common.errors import Invalid, TooLarge, Unavailable
from tests.support.receiver import Receiver

PRIVATE = """
127.0.0.1 127.1.2.3 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 169.254.0.1 169.254.169.254 172.16.0.1
172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::2 ::127.0.0.1 ::10.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8
::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 2001::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::
2002:a00:1:: 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 febf::1 fec0::1 ff02::1 ff0e::1
""".split()
PUBLIC = "1.1.1.1 8.8.8.8 93.184.216.34 172.15.255.255 172.32.0.1 192.167.0.1 223.255.255.255 2606:4700::1111 2a00:1450::1".split()

SPELLINGS = [
    "http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://127.000.000.001/", "http://0177.0.0.1/", "http://0x7f.0.0.1/",
    "http://0x7f000001/", "http://0X7F000001/", "http://2130706433/", "http://017700000001/", "http://0/", "http://0.0.0.0/",
    "http://00/", "http://0x0/", "http://127.0.0.1./", "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:127.0.0.1]/", "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fe80::1]/", "http://[fd00:ec2::254]/", "http://[ff02::1]/",
    "http://localhost/", "http://LOCALHOST/", "http://localhost./", "http://169.254.169.254/latest/meta-data/", "http://0xa9fea9fe/",
    "http://2852039166/", "http://169.254.43518/", "http://10.0.0.1/", "http://10.1/", "http://0xa000001/", "http://167772161/",
    "http://192.168.1.1/", "http://192.168.257/", "http://172.16.0.1/", "http://100.64.0.1/", "http://198.18.0.1/", "http://224.0.0.1/",
    "http://255.255.255.255/", "https://127.0.0.1/", "https://[::1]/", "https://localhost/", "http://127.0.0.1:8000/",
    "http://127.0.0.1:6379/", "http://localhost:5432/", "http://[::1]:2375/", "http://127.0.0.1:99999/", "http://127.0.0.1:-1/",
    "http://127.0.0.1:22/", "http://example.org:22/", "http://example.org:25/", "http://example.org:53/", "http://example.org:0/",
    "http://example.org:port/", "http://example.org:99999/", "ftp://example.org/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x",
    "dict://127.0.0.1:11211/", "ldap://127.0.0.1/", "jar:http://127.0.0.1/", "data:text/plain,x", "javascript:alert(1)", "unix:///run/x",
    "//127.0.0.1/", "127.0.0.1", "http:127.0.0.1", "http:/127.0.0.1", "http:///127.0.0.1", "http://", "https://", "http:///", "",
    "http://user@127.0.0.1/", "http://user:pass@127.0.0.1/", "http://example.org@127.0.0.1/", "http://example.org:80@127.0.0.1/",
    "http://127.0.0.1@example.org/", "http://example.org%40127.0.0.1/", "http://127.0.0.1#@example.org/", "http://127.0.0.1?@example.org/",
    "http://127.0.0.1\\@example.org/", "http://example.org\\@127.0.0.1/", "http://127.0.0.1\\.example.org/", "http://127.0.0.1 /",
    " http://127.0.0.1/", "http://127.0.0.1/\r\nHost: x", "http://127.0.0.1\t/", "http://127.0.0.1/\x00", "http://exa mple.org/",
    "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://１２７.0.0.1/", "http://ⓛocalhost/", "http://lοcalhost/", "http://loc\u00adalhost/",
    "http://[::ffff:127.0.0.1%25eth0]/", "http://[fe80::1%25eth0]/", "http://[::1", "http://::1]/", "http://[127.0.0.1]/", "http://[x]/",
    "http://%31%32%37.0.0.1/", "http://127%2e0%2e0%2e1/", "http://.127.0.0.1/", "http://127..0.0.1/", "http://" + "a" * 64 + ".org/",
    "http://" + "a." * 200 + "org/", "http://example.org/" + "x" * 500, "http://{{127.0.0.1}}/", "http://`id`/", "http://<b>/", "http://$(id)/",
    "http+unix://%2frun%2fx/", "HTTP://127.0.0.1/", "hTTps://localhost/", "http://127.0.0.1:80:80/", "http://[::1]:80:80/",
]  # fmt: skip


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address that a connection was opened to."""
    reached: list[object] = []

    def connect(address: object, *_: object, **__: object) -> socket.socket:
        reached.append(address)
        raise OSError("not in this test")

    monkeypatch.setattr(socket, "create_connection", connect)
    return reached


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what addresses a name has, one answer after the other."""
    answers: dict[str, list[list[str]]] = {}
    ask = socket.getaddrinfo

    def look_up(host: str, port: int, *more: object, **named: object) -> list:
        if host not in answers:
            return ask(host, port, *more, **named)
        rows = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [
            (socket.AF_INET6 if ":" in row else socket.AF_INET, socket.SOCK_STREAM, 6, "", (row, port)) for row in rows
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    def say(host: str, *rounds: list[str]) -> None:
        answers[host] = list(rounds)

    return say


def test_there_are_enough_spellings() -> None:
    assert len(set(SPELLINGS)) == len(SPELLINGS) >= 120


@pytest.mark.parametrize("url", SPELLINGS, ids=lambda url: ascii(url)[:50])
def test_no_spelling_reaches_anything(canary: list, url: str) -> None:
    with pytest.raises((Invalid, Unavailable)) as error:
        outgoing.send("POST", url, body=b"x")
    assert canary == []
    assert len(error.value.message) > 10


def test_addresses_are_told_apart() -> None:
    assert [text for text in PRIVATE if outgoing.is_allowed(ipaddress.ip_address(text))] == []
    assert [text for text in PUBLIC if not outgoing.is_allowed(ipaddress.ip_address(text))] == []


@pytest.mark.parametrize("rows", [["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["2606:4700::1111", "::ffff:10.0.0.1"]])
def test_a_name_with_one_private_address_is_not_asked(canary: list, names, rows: list[str]) -> None:
    names("sly.example", rows)
    with pytest.raises(Invalid, match="not on the public internet"):
        outgoing.send("GET", "http://sly.example/")
    assert canary == []


def test_the_connection_goes_to_the_address_that_was_checked(canary: list, names) -> None:
    """A name that means another address a moment later gains nothing: it is looked up once."""
    names("rebinding.example", ["8.8.8.8"], ["127.0.0.1"])
    with pytest.raises(Unavailable):
        outgoing.send("GET", "https://rebinding.example:8443/")
    assert canary == [("8.8.8.8", 8443)]


def test_the_next_address_is_tried_when_one_does_not_answer(canary: list, names) -> None:
    names("two.example", ["8.8.8.8", "1.1.1.1", "8.8.8.8"])
    with pytest.raises(Unavailable):
        outgoing.send("GET", "http://two.example/")
    assert canary == [("8.8.8.8", 80), ("1.1.1.1", 80)]


def test_what_the_operator_opens_is_reached(settings) -> None:
    settings.OUTGOING_ALLOW = ["127.0.0.2/32", "fd00:1::/64"]
    with Receiver() as receiver:
        answer = outgoing.send(
            "POST", receiver.url, body=b"hello", headers={"X-Mine": "1", "Host": "evil", "Connection": "keep-alive"}
        )
        got = receiver.next(5)
        assert (answer.status, got.method, got.path, got.body) == (200, "POST", "/hook?x=1", b"hello")
        assert (got.headers["host"], got.headers["x-mine"]) == (f"127.0.0.2:{receiver.port}", "1")
        assert got.headers["connection"] == "close"
        with pytest.raises(Invalid, match="line break"):
            outgoing.send("POST", receiver.url, headers={"X-Mine": "1\r\nX-Other: 2"})
        with pytest.raises(Invalid):
            outgoing.send("POST", receiver.url.replace("127.0.0.2", "127.0.0.1"))
        assert receiver.received.empty()


def test_a_redirect_is_an_answer_and_nobody_follows_it(settings) -> None:
    settings.OUTGOING_ALLOW = ["127.0.0.2/32"]
    with Receiver("127.0.0.1") as secret:
        for status in (301, 302, 303, 307, 308):
            with Receiver(answer=lambda _, status=status: (status, {"Location": secret.url})) as receiver:
                answer = outgoing.send("POST", receiver.url)
                assert (answer.status, answer.headers["location"]) == (status, secret.url)
        assert secret.received.empty()


@pytest.fixture
def raw_server(settings):
    """A server that sends what it is told to, piece by piece, until the client is gone."""
    settings.OUTGOING_ALLOW = ["127.0.0.2/32"]
    listener = socket.create_server(("127.0.0.2", 0))
    threads = []

    def serve(pieces, pause_s: float) -> str:
        def work() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    # closing with the request unread would reset the connection, and take back what was sent
                    connection.recv(65536)
                    for piece in pieces:
                        connection.sendall(piece)
                        time.sleep(pause_s)
                except OSError:
                    pass

        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.2:{listener.getsockname()[1]}/"

    yield serve
    for thread in threads:
        thread.join(10)
    listener.close()


def test_an_answer_that_drips_ends_in_time(raw_server) -> None:
    url = raw_server((b"HTTP/1.1 200 OK\r\n" if n == 0 else b"X-A: b\r\n" for n in range(400)), 0.05)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="took too long"):
        outgoing.send("GET", url, limit_s=0.6)
    assert time.monotonic() - began < 3


def test_an_answer_without_end_is_cut(raw_server) -> None:
    url = raw_server((b"HTTP/1.1 200 OK\r\n\r\n" if n == 0 else b"x" * 65536 for n in range(1000)), 0)
    assert len(outgoing.send("GET", url).body) == 64 * 1024


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X" * 70_000 + b"\r\n\r\n"]
)
def test_what_is_no_http_is_no_answer(raw_server, said: bytes) -> None:
    with pytest.raises(Unavailable):
        outgoing.send("GET", raw_server([said], 0), limit_s=3)


def test_a_certificate_for_another_name_is_refused(settings, names, tmp_path) -> None:
    """The name that was typed is what the certificate must be for, although the connection goes to an address."""
    settings.OUTGOING_ALLOW = ["127.0.0.2/32"]
    names("secure.example", ["127.0.0.2"])
    cert, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.2", 0))
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    def work() -> None:
        try:
            connection, _ = listener.accept()
            with connection, context.wrap_socket(connection, server_side=True):
                pass
        except OSError:
            pass

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with pytest.raises(Unavailable, match="certificate is not valid"):
        outgoing.send("GET", f"https://secure.example:{listener.getsockname()[1]}/")
    thread.join(5)
    listener.close()
    assert asked == ["secure.example"]


def read(url: str, **more) -> tuple[int, bytes]:
    with outgoing.stream("GET", url, **({"limit_bytes": 1_000_000, "timeout_s": 20} | more)) as answer:
        return answer.status, b"".join(answer)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_long_answer_is_read_piece_by_piece(raw_server) -> None:
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", *[b"x" * 100_000] * 3, b"not asked for"]
    with outgoing.stream("GET", raw_server(pieces, 0), limit_bytes=300_000, timeout_s=20) as answer:
        assert (answer.status, answer.headers["content-length"]) == (200, "300000")
        first = answer.read(10)
        rest = list(answer)
    assert 0 < len(first) <= 10
    assert len(first) + sum(map(len, rest)) == 300_000
    assert max(map(len, rest)) <= 64 * 1024
    assert read(raw_server([CHUNKED, b"3\r\nabc\r\n", b"0\r\n\r\n"], 0)) == (200, b"abc")
    assert read(raw_server([b"HTTP/1.1 404 Not Found\r\n\r\nno"], 0)) == (404, b"no")


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", CHUNKED + b"65\r\n"]
)
def test_a_stream_takes_no_more_than_the_limit(raw_server, head: bytes) -> None:
    with pytest.raises(TooLarge, match=r"100 (bytes|are taken)"):
        read(raw_server([head + b"x" * 101], 0), limit_bytes=100)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", CHUNKED + b"9\r\n"])
def test_a_stream_that_breaks_off_is_no_whole_answer(raw_server, head: bytes) -> None:
    with pytest.raises(Unavailable, match="did not finish"):
        read(raw_server([head + b"12345678"], 0))


def test_a_stream_ends_in_time_and_after_silence(raw_server, monkeypatch) -> None:
    began = time.monotonic()
    slow = raw_server((CHUNKED if n == 0 else b"1\r\nx\r\n" for n in range(400)), 0.05)
    with pytest.raises(Unavailable, match="took too long"):
        read(slow, timeout_s=0.5)
    monkeypatch.setattr(outgoing, "_STALL_S", 0.2)
    with pytest.raises(Unavailable, match="took too long"):
        read(raw_server([CHUNKED, b""], 2))
    assert time.monotonic() - began < 10


def test_what_goes_wrong_with_the_caller_is_not_told_of_the_server(raw_server) -> None:
    with (
        pytest.raises(OSError, match="disk is full"),
        outgoing.stream("GET", raw_server([CHUNKED], 0), limit_bytes=1, timeout_s=20),
    ):
        raise OSError("disk is full")


def test_a_stream_follows_redirects_with_every_hop_checked(settings) -> None:
    settings.OUTGOING_ALLOW = ["127.0.0.2/32", "127.0.0.3/32"]
    secrets = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Key": "k", "Range": "bytes=0-1"}
    where = {"limit_bytes": 10, "timeout_s": 20}
    with Receiver("127.0.0.3") as store, Receiver("127.0.0.1") as hidden, Receiver() as hub:
        hub.answer = lambda got: (302, {"Location": "/next"}) if got.path != "/next" else (307, {"Location": store.url})
        with outgoing.stream("GET", hub.url, headers=secrets, follow=2, **where) as answer:
            assert (answer.status, answer.url) == (200, store.url)
        hub.next()
        same, other = hub.next(), store.next()
        assert {name: same.headers[name.lower()] for name in secrets} == secrets
        assert [name for name in secrets if name.lower() in other.headers] == ["Range"]
        # one redirect more than may be followed is the answer, and so is one that would change the method
        assert read(hub.url, follow=1)[0] == 307
        with outgoing.stream("POST", hub.url, body=b"x", follow=2, **where) as answer:
            assert answer.status == 302
        for target in (
            hidden.url,
            "http://localhost/",
            "file:///etc/passwd",
            "http://u:p@127.0.0.3/",
            "http://[",
            "//127.0.0.3:22",
        ):
            hub.answer = lambda _, target=target: (302, {"Location": target})
            with pytest.raises(Invalid):
                read(hub.url, follow=5)
        assert hidden.received.empty()
        assert store.received.empty()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/", "http://10.1/", "ftp://example.org/", "http://e.org/" + "x" * 8000]
)
def test_a_stream_reaches_nothing_that_send_does_not(canary: list, url: str) -> None:
    with pytest.raises(Invalid):
        read(url)
    assert canary == []


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate that nobody vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "secure.example")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(start).not_valid_after(start + timedelta(days=36500))
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder / "cert.pem", folder / "key.pem"
