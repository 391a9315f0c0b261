"""Key exchange and encryption: ssl, pyOpenSSL, Scapy's ISAKMP, IKEv2 and IPsec; 802.11 frames by Scapy."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from scapy.contrib.ikev2 import (
    IKEv2,
    IKEv2_Encrypted,
    IKEv2_KE,
    IKEv2_Nonce,
    IKEv2_Notify,
    IKEv2_Proposal,
    IKEv2_SA,
    IKEv2_Transform,
)
from scapy.layers.dot11 import (
    Dot11,
    Dot11Ack,
    Dot11AssoReq,
    Dot11Auth,
    Dot11Beacon,
    Dot11Elt,
    Dot11EltRates,
    Dot11ProbeReq,
    Dot11ProbeResp,
)
from scapy.layers.inet import IP, TCP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.isakmp import (
    ISAKMP,
    ISAKMP_payload,
    ISAKMP_payload_KE,
    ISAKMP_payload_Nonce,
    ISAKMP_payload_Proposal,
    ISAKMP_payload_SA,
    ISAKMP_payload_Transform,
    ISAKMP_payload_VendorID,
)

from .said import ANSWERS, ASKS, Said, host, ipv4, mac, sentence, word


@cache
def _identity(name: str) -> tuple[bytes, bytes]:
    """Return a certificate and its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime(2024, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(named, named, key.public_key(), 7, start, start + timedelta(days=3650))
    signed = made.sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return signed.public_bytes(serialization.Encoding.PEM), secret


def _records(data: bytes, head: int) -> Iterator[bytes]:
    """Cut TLS (head 5) or DTLS (head 13) records: the last two bytes of the head are the length."""
    at = 0
    while at + head <= len(data):
        size = head + int.from_bytes(data[at + head - 2 : at + head], "big")
        yield data[at : at + size]
        at += size


def tls(rng: Random) -> Iterator[Said]:
    """Handshakes and data of versions 1.2 and 1.3."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as pem:
        Path(pem.name).write_bytes(b"".join(_identity("localhost")))
        server.load_cert_chain(pem.name)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    for _ in range(4):
        client.maximum_version = rng.choice((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
        client.set_alpn_protocols(rng.choice((["h2", "http/1.1"], ["http/1.1"], ["mqtt"])))
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = (client.wrap_bio(down, up, server_hostname=host(rng)), server.wrap_bio(up, down, server_side=True))
        for step in range(12):
            for side, (end, out) in enumerate(zip(ends, (up, down), strict=True), 1):
                with suppress(ssl.SSLWantReadError):  # it waits for the other end
                    end.do_handshake() if step < 5 else end.write(rng.randbytes(rng.randrange(1, 400)))
                data = out.read()
                yield from ((side, record) for record in _records(data, 5))
                out.write(data)


def _dtls_contexts() -> list[SSL.Context]:
    """Return the client's and the server's."""
    certificate, key = _identity("localhost")
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "c.pem"), Path(folder, "k.pem")
        for path, data in zip(paths, (certificate, key), strict=True):
            path.write_bytes(data)
        contexts = [SSL.Context(SSL.DTLS_METHOD) for _ in range(2)]
        contexts[1].use_certificate_file(str(paths[0]))
        contexts[1].use_privatekey_file(str(paths[1]))
    contexts[1].set_options(SSL.OP_NO_QUERY_MTU)
    return contexts


def dtls(rng: Random) -> Iterator[Said]:
    """Handshakes and data of version 1.2 (and 1.0 where the library still speaks it)."""
    contexts = _dtls_contexts()
    for _ in range(3):
        ends = [SSL.Connection(context, None) for context in contexts]
        ends[0].set_connect_state()
        ends[1].set_accept_state()
        for end in ends:
            end.set_ciphertext_mtu(1400)
        for step in range(12):
            for side, (end, other) in enumerate(((ends[0], ends[1]), (ends[1], ends[0])), 1):
                with suppress(SSL.WantReadError):  # it waits for the other end
                    end.do_handshake() if step < 5 else end.send(rng.randbytes(rng.randrange(1, 300)))
                try:
                    data = end.bio_read(1 << 16)
                except SSL.WantReadError:
                    continue
                yield from ((side, record) for record in _records(data, 13))
                other.bio_write(data)


def isakmp(rng: Random) -> Iterator[Said]:
    """Version 1 in main and aggressive mode, and what follows encrypted; version 2."""
    for _ in range(5):
        one, two = rng.randbytes(8), rng.randbytes(8)
        transforms = ISAKMP_payload_Transform(
            num=1, transforms=[("Encryption", "AES-CBC"), ("Hash", "SHA"), ("GroupDesc", "1024MODPgr")]
        )
        offer = ISAKMP_payload_SA(prop=ISAKMP_payload_Proposal(trans_nb=1, trans=transforms))
        vendor = ISAKMP_payload_VendorID(VendorID=rng.randbytes(16))
        kind = rng.choice((2, 4))
        yield ASKS, bytes(ISAKMP(init_cookie=one, exch_type=kind) / offer / vendor)
        yield ANSWERS, bytes(ISAKMP(init_cookie=one, resp_cookie=two, exch_type=kind) / offer)
        secret = ISAKMP_payload_KE(load=rng.randbytes(128)) / ISAKMP_payload_Nonce(load=rng.randbytes(20))
        yield ASKS, bytes(ISAKMP(init_cookie=one, resp_cookie=two, exch_type=kind) / secret)
        for _ in range(3):
            hidden = ISAKMP(
                init_cookie=one,
                resp_cookie=two,
                exch_type=rng.choice((2, 5, 32)),
                flags=1,
                next_payload=8,
                id=rng.getrandbits(32),
            )
            yield rng.choice((1, 2)), bytes(hidden / ISAKMP_payload(load=rng.randbytes(rng.choice((36, 60, 100)))))
        offered = IKEv2_SA(prop=IKEv2_Proposal(trans=IKEv2_Transform(transform_type=1, transform_id=12)))
        asked = offered / IKEv2_KE(group=14, ke=rng.randbytes(256)) / IKEv2_Nonce(nonce=rng.randbytes(32))
        for side, flags, answer in ((1, 8, bytes(8)), (2, 0x20, two)):
            head = IKEv2(init_SPI=one, resp_SPI=answer, exch_type=34, flags=flags)
            yield side, bytes(head / asked / IKEv2_Notify(type=16388, notify=rng.randbytes(20)))
            head = IKEv2(
                init_SPI=one, resp_SPI=two, exch_type=rng.choice((35, 36, 37)), flags=flags, id=rng.randrange(9)
            )
            yield side, bytes(head / IKEv2_Encrypted(load=rng.randbytes(rng.choice((52, 76, 200)))))


def esp(rng: Random) -> Iterator[Said]:
    """Packets of a tunnel that counts from one."""
    tunnel = SecurityAssociation(
        ESP,
        spi=rng.getrandbits(32),
        crypt_algo="AES-CBC",
        crypt_key=rng.randbytes(16),
        auth_algo="HMAC-SHA1-96",
        auth_key=rng.randbytes(20),
    )
    for _ in range(24):
        inner = (
            IP(src=ipv4(rng), dst=ipv4(rng)) / TCP(sport=rng.getrandbits(16)) / rng.randbytes(rng.choice((0, 40, 600)))
        )
        yield rng.choice((1, 2)), bytes(tunnel.encrypt(inner, iv=rng.randbytes(16)))[20:]


def wlan(rng: Random) -> Iterator[Said]:
    """Beacons, probes, joining, protected data, acknowledgements; without radiotap and check sequence."""
    base, number, name = mac(rng), rng.getrandbits(12), word(rng)
    rates = Dot11EltRates(rates=[0x82, 0x84, 0x8B, 0x96, 0x0C, 0x12, 0x18, 0x24])
    for i in range(8):
        sender, order = mac(rng), (number + i) % 4096 << 4
        every, named = (
            "ff:ff:ff:ff:ff:ff",
            Dot11Elt(ID="SSID", info=rng.choice((name, "", sentence(rng, 2))).encode()[:32]),
        )
        beacon = Dot11Beacon(timestamp=rng.getrandbits(40), beacon_interval=100, cap=0x0431)
        frames = (
            Dot11(type=0, subtype=8, addr1=every, addr2=base, addr3=base, SC=order) / beacon / named / rates,
            Dot11(type=0, subtype=4, addr1=every, addr2=sender, addr3=every, SC=order)
            / Dot11ProbeReq()
            / named
            / rates,
            Dot11(type=0, subtype=5, addr1=sender, addr2=base, addr3=base, SC=order)
            / Dot11ProbeResp(timestamp=rng.getrandbits(40))
            / named
            / rates,
            Dot11(type=0, subtype=11, addr1=base, addr2=sender, addr3=base, SC=order) / Dot11Auth(seqnum=1),
            Dot11(type=0, subtype=0, addr1=base, addr2=sender, addr3=base, SC=order) / Dot11AssoReq() / named / rates,
            Dot11(
                type=2,
                subtype=rng.choice((0, 8)),
                FCfield=rng.choice((0x41, 0x42)),
                addr1=base,
                addr2=sender,
                addr3=mac(rng),
                SC=order,
            )
            / rng.randbytes(rng.choice((16, 60, 300))),
            Dot11(type=1, subtype=13, addr1=sender) / Dot11Ack(),
        )
        yield from ((ASKS, bytes(one)) for one in frames)


TALKS = {"dtls": dtls, "esp": esp, "isakmp": isakmp, "tls": tls, "wlan": wlan}
