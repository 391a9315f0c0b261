"""Text protocols: h11, smtplib with aiosmtpd, ftplib with pyftpdlib, redis, irc, pymemcache, slixmpp."""

from __future__ import annotations

import ftplib
import io
import shutil
import smtplib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace

import h11
import redis
from aiosmtpd.controller import Controller
from irc.client import Reactor, ServerConnectionError
from irc.server import IRCClient, IRCServer
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
from pymemcache.client.base import Client as Memcached
from pymemcache.exceptions import MemcacheError
from slixmpp import Iq, Message, Presence

from ...discovery.errors import InputError
from .relay import free_port, relayed
from .said import ANSWERS, ASKS, Said, host, ipv4, sentence, word

TRIES = 100  # of 50 ms
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0",
    "curl/7.88.1",
    "Wget/1.21",
    "python-requests/2.31.0",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)",
    "okhttp/4.9",
    "Go-http-client/1.1",
)


def _headers(rng: Random, several: list[tuple[str, str]]) -> list[tuple[str, str]]:
    chosen = [one for one in several if rng.random() < 0.7]
    rng.shuffle(chosen)
    return chosen


def http(rng: Random) -> Iterator[Said]:
    """Requests with and without bodies, and answers."""
    agent, name = rng.choice(AGENTS), rng.choice((host(rng), ipv4(rng)))
    for _ in range(16):
        client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
        path = (
            "/"
            + "/".join(word(rng) for _ in range(rng.randrange(4)))
            + rng.choice(("", ".html", ".js", f"?id={rng.randrange(99)}"))
        )
        posted = sentence(rng, 30).encode() if rng.random() < 0.25 else b""
        asked = [
            ("Host", name),
            *_headers(
                rng,
                [
                    ("User-Agent", agent),
                    ("Accept", rng.choice(("*/*", "text/html"))),
                    ("Accept-Encoding", "gzip, deflate"),
                    ("Connection", "keep-alive"),
                    ("Cookie", f"{word(rng)}={rng.getrandbits(40):x}"),
                    ("Referer", f"http://{name}/{word(rng)}"),
                    ("Accept-Language", "en-US,en;q=0.5"),
                ],
            ),
        ]
        method = rng.choice(("POST", "PUT")) if posted else rng.choice(("GET", "GET", "GET", "HEAD", "OPTIONS"))
        if posted:
            asked.append(("Content-Length", str(len(posted))))
        request = client.send(h11.Request(method=method, target=path, headers=asked))
        yield ASKS, (request or b"") + (client.send(h11.Data(data=posted)) or b"")
        server.receive_data(request or b"")
        server.next_event()
        yield ANSWERS, _http_answer(rng, server, method)


def _http_answer(rng: Random, server: h11.Connection, method: str) -> bytes:
    """Return what the server says to a request that it has read."""
    status, reason = rng.choice(
        ((200, "OK"), (200, "OK"), (404, "Not Found"), (301, "Moved Permanently"), (304, "Not Modified"))
    )
    content = f"<html><body>{sentence(rng, 60)}</body></html>".encode() if status == 200 else b""
    told = [
        ("Server", rng.choice(("Apache/2.4.57 (Debian)", "nginx/1.22.1", "Microsoft-IIS/10.0"))),
        ("Content-Type", rng.choice(("text/html; charset=utf-8", "application/json", "image/png"))),
        ("Date", "Mon, 13 May 2024 10:11:12 GMT"),
        ("Cache-Control", "no-cache"),
        ("ETag", f'"{rng.getrandbits(48):x}"'),
    ]
    answer = h11.Response(
        status_code=status, reason=reason, headers=[*_headers(rng, told), ("Content-Length", str(len(content)))]
    )
    head = server.send(answer) or b""
    return head + (server.send(h11.Data(data=content)) or b"" if content and method != "HEAD" else b"")


class _Inbox:
    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802
        return "250 2.0.0 Ok: queued"


def smtp(rng: Random) -> Iterator[Said]:
    """Mails, refused addresses and questions."""
    server = Controller(
        _Inbox(), hostname="127.0.0.1", port=free_port(), server_hostname=host(rng), ident=f"ESMTP {word(rng)}"
    )
    server.start()
    try:
        with relayed(server.port) as relay:
            for _ in range(3):
                client = smtplib.SMTP("127.0.0.1", relay.port, local_hostname=rng.choice((host(rng), f"[{ipv4(rng)}]")))
                client.ehlo_or_helo_if_needed()
                for _ in range(2):
                    sender, receiver = (f"{word(rng)}@{host(rng)}" for _ in range(2))
                    text = f"From: {sender}\r\nTo: {receiver}\r\nSubject: {sentence(rng, 6)}\r\n\r\n" + sentence(
                        rng, 80
                    )
                    client.sendmail(sender, [receiver, f"{word(rng)}@{host(rng)}"], text)
                rng.choice((client.noop, client.rset, lambda c=client: c.verify(word(rng))))()
                client.quit()
        yield from relay.said
    finally:
        server.stop()


def ftp(rng: Random) -> Iterator[Said]:
    """Logins, walks through folders, files down and up, errors: the control connection."""
    users, folder = DummyAuthorizer(), tempfile.TemporaryDirectory()
    name, secret = word(rng), word(rng)
    names = [f"{word(rng)}.{rng.choice(('txt', 'zip', 'jpg', 'bin'))}" for _ in range(6)]
    for one in names:
        (Path(folder.name) / one).write_bytes(rng.randbytes(rng.randrange(2000)))
    users.add_user(name, secret, folder.name, perm="elradfmwMT")
    users.add_anonymous(folder.name)
    handler = type(
        "Handler",
        (FTPHandler,),
        {
            "authorizer": users,
            "banner": rng.choice(("ProFTPD 1.3.5 Server ready.", f"{host(rng)} FTP server ready.", "(vsFTPd 3.0.3)")),
        },
    )
    server = FTPServer(("127.0.0.1", 0), handler)
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            server.serve_forever(timeout=0.02, blocking=False)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with folder, relayed(server.address[1]) as relay:
        for _ in range(2):
            client = ftplib.FTP()
            client.connect("127.0.0.1", relay.port, 10)
            client.login(*rng.choice(((name, secret), ("anonymous", f"{word(rng)}@{host(rng)}"))))
            for _ in range(6):
                one = rng.choice(names)
                act = rng.choice(
                    (
                        client.pwd,
                        lambda c=client: c.retrlines("LIST", lambda line: None),
                        lambda c=client: c.voidcmd("TYPE I"),
                        lambda c=client, o=one: c.retrbinary(f"RETR {o}", lambda data: None),
                        lambda c=client, o=one: c.size(o),
                        lambda c=client: c.cwd(word(rng)),
                        lambda c=client: c.storbinary(f"STOR {word(rng)}.txt", io.BytesIO(b"x")),
                        lambda c=client: c.sendcmd("SYST"),
                        lambda c=client: c.mkd(word(rng)),
                        lambda c=client: c.sendcmd("FEAT"),
                    )
                )
                try:
                    act()
                except ftplib.Error:
                    continue  # refused: that is said too
            client.quit()
    done.set()
    thread.join(5)
    server.close_all()
    yield from relay.said


def redis_talk(rng: Random) -> Iterator[Said]:
    """Keys, lists, hashes, streams and mistakes against a redis-server of this machine."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _await(port)
            with relayed(port) as relay:
                client = redis.Redis(port=relay.port, protocol=rng.choice((2, 3)))
                for _ in range(24):
                    key, value = word(rng), sentence(rng, 8)
                    rng.choice(
                        (
                            lambda k=key, v=value: client.set(k, v),
                            lambda k=key: client.get(k),
                            client.ping,
                            client.dbsize,
                            lambda k=key, v=value: client.lpush("l" + k, *v.split()),
                            lambda k=key: client.lrange("l" + k, 0, -1),
                            lambda k=key, v=value: client.hset("h" + k, mapping=dict.fromkeys(v.split(), v)),
                            client.info,
                            lambda k=key: client.hgetall("h" + k),
                            lambda k=key: client.incr("n" + k),
                            lambda k=key: client.delete(k),
                            lambda k=key, v=value: client.publish(k, v),
                            lambda k=key: client.expire(k, rng.randrange(999)),
                            lambda k=key: client.xadd("x" + k, {"a": k}),
                            lambda k=key: client.keys(k[0] + "*"),
                        )
                    )()
                client.close()
        finally:
            server.terminate()
    yield from relay.said


def _await(port: int) -> None:
    """
    Wait until a server that tells nobody when it is ready takes connections.

    Raises:
        InputError: it does not within some seconds.
    """
    for _ in range(TRIES):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise InputError("redis-server does not answer", where=f"127.0.0.1:{port}", hint="start it by hand to see why")


def irc(rng: Random) -> Iterator[Said]:
    """Two people in a channel."""
    IRCServer.clients, IRCServer.channels = {}, {}
    server = IRCServer(("127.0.0.1", 0), IRCClient)
    server.servername = host(rng)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with relayed(server.server_address[1]) as relay:
        reactor = Reactor()
        try:
            people = [
                reactor.server().connect("127.0.0.1", relay.port, f"{word(rng)}{i}", username=word(rng)) for i in (1, 2)
            ]
        except ServerConnectionError:
            return
        channel = f"#{word(rng)}"
        for step in range(14):
            for one in people:
                said = rng.choice(
                    (
                        lambda o: o.privmsg(channel, sentence(rng)),
                        lambda o: o.topic(channel, sentence(rng, 4)),
                        lambda o: o.ping(word(rng)),
                        lambda o: o.whois(word(rng)),
                        lambda o: o.names(channel),
                        lambda o: o.list(),
                        lambda o: o.notice(channel, sentence(rng)),
                    )
                )
                one.join(channel) if step == 0 else said(one)
            reactor.process_once(0.02)
        reactor.disconnect_all("bye")
    server.shutdown()
    server.server_close()
    yield from relay.said


class _Answering:
    """A socket whose other end answers each line as the protocol's text asks (memcached, doc/protocol.txt)."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.kept: dict[bytes, bytes] = {}
        self.waiting = b""

    def sendall(self, data: bytes) -> None:
        self.said.append((ASKS, bytes(data)))
        line, _, rest = bytes(data).partition(b"\r\n")
        verb, *words = line.split(b" ")
        if verb in (b"set", b"add", b"replace"):
            self.kept[words[0]] = rest.removesuffix(b"\r\n")
            told = b"STORED\r\n"
        elif verb in (b"get", b"gets"):
            told = (
                b"".join(
                    b"VALUE %s 0 %d\r\n%s\r\n" % (w, len(self.kept[w]), self.kept[w]) for w in words if w in self.kept
                )
                + b"END\r\n"
            )
        else:
            told = {
                b"delete": b"NOT_FOUND\r\n",
                b"incr": b"NOT_FOUND\r\n",
                b"version": b"VERSION 1.6.18\r\n",
                b"stats": b"STAT pid 7\r\nSTAT uptime 41\r\nEND\r\n",
            }.get(verb, b"OK\r\n")
        self.said.append((ANSWERS, told))
        self.waiting += told

    def recv(self, size: int) -> bytes:
        made, self.waiting = self.waiting[:size], self.waiting[size:]
        return made

    def __getattr__(self, name: str) -> object:
        return lambda *a, **k: None


def memcache(rng: Random) -> Iterator[Said]:
    """Values stored, read, counted and forgotten, by a client of the text protocol."""
    line = _Answering()
    client = Memcached(
        ("127.0.0.1", 11211),
        socket_module=SimpleNamespace(
            socket=lambda *a: line,
            AF_INET=0,
            SOCK_STREAM=0,
            IPPROTO_TCP=0,
            TCP_NODELAY=0,
            AF_UNSPEC=0,
            error=OSError,
            getaddrinfo=lambda *a, **k: [(0, 0, 0, "", ("127.0.0.1", 11211))],
        ),
        default_noreply=False,
    )
    keys = [f"{word(rng)}:{rng.randrange(999)}" for _ in range(6)]
    for _ in range(18):
        key = rng.choice(keys)
        try:
            rng.choice(
                (
                    lambda k=key: client.set(k, sentence(rng), expire=rng.choice((0, 60))),
                    lambda k=key: client.get(k),
                    client.version,
                    lambda k=key: client.get_many([k, rng.choice(keys)]),
                    lambda k=key: client.delete(k),
                    lambda k=key: client.incr(k, 1),
                    lambda k=key: client.add(k, word(rng)),
                    client.stats,
                )
            )()
        except MemcacheError:
            continue
    yield from line.said


def xmpp(rng: Random) -> Iterator[Said]:
    """Stanzas: messages, presences, questions and results."""
    server = host(rng)
    spaces = "xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'"
    head = f"<?xml version='1.0'?><stream:stream to='{server}' {spaces} version='1.0'>"
    yield ASKS, head.encode()
    for number in range(12):
        one, two = (f"{word(rng)}@{server}" for _ in range(2))
        message, presence, asked = Message(), Presence(), Iq()
        message["to"], message["from"], message["type"], message["body"] = two, one, "chat", sentence(rng)
        presence["from"], presence["show"], presence["status"] = (
            one,
            rng.choice(("away", "chat", "dnd")),
            sentence(rng, 4),
        )
        asked["type"], asked["id"], asked["to"] = rng.choice(("get", "set", "result")), f"q{number}", server
        asked["query"] = rng.choice(("jabber:iq:roster", "http://jabber.org/protocol/disco#info"))
        for stanza in (message, presence, asked):
            yield rng.choice((1, 2)), str(stanza).encode()


TALKS = {
    "ftp": ftp,
    "http": http,
    "irc": irc,
    "memcache": memcache,
    "smtp": smtp,
    "xmpp": xmpp,
    **({"redis": redis_talk} if shutil.which("redis-server") else {}),
}
