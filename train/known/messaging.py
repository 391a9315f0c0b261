"""Brokers, databases, directories and files: pamqp, wsproto, python-bitcoinlib, PyMySQL's and other codecs, Scapy."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import bitcoin.messages as bitcoin_messages
import wsproto.frame_protocol as websocket_frames
from bitcoin.core import CBlockHeader
from cassandra import ConsistencyLevel
from cassandra.protocol import (
    ExecuteMessage,
    OptionsMessage,
    PrepareMessage,
    ProtocolHandler,
    QueryMessage,
    StartupMessage,
)
from impacket import smb, smb3structs
from impacket.dcerpc.v5 import rpcrt
from pamqp import body, commands, frame, header
from scapy.asn1.asn1 import ASN1_STRING
from scapy.contrib.mqtt import (
    MQTT,
    MQTTConnack,
    MQTTConnect,
    MQTTDisconnect,
    MQTTPuback,
    MQTTPublish,
    MQTTSuback,
    MQTTSubscribe,
    MQTTTopicQOS,
)
from scapy.contrib.oncrpc import RPC, RM_Header, RPC_Call, RPC_Reply
from scapy.contrib.socks import SOCKS, SOCKS4Reply, SOCKS4Request, SOCKS5Reply, SOCKS5Request
from scapy.layers.ldap import (
    LDAP,
    LDAP_AttributeValue,
    LDAP_Authentication_simple,
    LDAP_BindRequest,
    LDAP_BindResponse,
    LDAP_Filter,
    LDAP_FilterEqual,
    LDAP_FilterPresent,
    LDAP_PartialAttribute,
    LDAP_SearchRequest,
    LDAP_SearchRequestAttribute,
    LDAP_SearchResponseEntry,
    LDAP_SearchResponseResultDone,
    LDAP_UnbindRequest,
)

from .said import ANSWERS, ASKS, Said, host, ipv4, sentence, word


def mqtt(rng: Random) -> Iterator[Said]:
    """A client that connects, subscribes, publishes with and without acknowledgement, and pings."""
    name = f"{word(rng)}-{rng.getrandbits(20):x}"
    yield ASKS, bytes(MQTT() / MQTTConnect(protoname="MQTT", protolevel=4, cleansess=1, klive=60, clientId=name))
    yield ANSWERS, bytes(MQTT() / MQTTConnack(retcode=rng.choice((0, 0, 5))))
    for number in range(1, 13):
        topic = "/".join(word(rng) for _ in range(rng.randint(1, 4)))
        asked = MQTTSubscribe(msgid=number, topics=[MQTTTopicQOS(topic=topic, QOS=rng.randrange(3))])
        yield ASKS, bytes(MQTT(QOS=1) / asked)
        yield ANSWERS, bytes(MQTT() / MQTTSuback(msgid=number, retcodes=[rng.randrange(3)]))
        value = rng.choice(
            (sentence(rng, 8).encode(), b"%.2f" % rng.uniform(0, 99), b'{"temp": %d}' % rng.randrange(99))
        )
        quality = rng.randrange(2)
        yield rng.choice((1, 2)), bytes(MQTT(QOS=quality) / MQTTPublish(topic=topic, msgid=number, value=value))
        if quality:
            yield rng.choice((1, 2)), bytes(MQTT() / MQTTPuback(msgid=number))
        yield from ((ASKS, b"\xc0\0"), (ANSWERS, b"\xd0\0"))
    yield ASKS, bytes(MQTT() / MQTTDisconnect())


def amqp(rng: Random) -> Iterator[Said]:
    """A channel of AMQP 0-9-1: opening, declarations, publishing, deliveries, acknowledgements."""
    yield ASKS, b"AMQP\0\0\x09\x01"
    mechanisms = {"mechanisms": "AMQPLAIN PLAIN", "server_properties": {"product": "RabbitMQ", "version": "3.12.1"}}
    yield ANSWERS, frame.marshal(commands.Connection.Start(**mechanisms), 0)
    yield (
        ASKS,
        frame.marshal(commands.Connection.StartOk({"product": word(rng)}, response=f"\0{word(rng)}\0{word(rng)}"), 0),
    )
    yield ANSWERS, frame.marshal(commands.Connection.Tune(2047, 131072, 60), 0)
    yield ASKS, frame.marshal(commands.Connection.TuneOk(2047, 131072, 60), 0)
    yield ASKS, frame.marshal(commands.Connection.Open("/"), 0)
    yield ANSWERS, frame.marshal(commands.Connection.OpenOk(), 0)
    channel = rng.choice((1, 1, rng.randint(2, 9)))
    for number in range(1, 9):
        queue, exchange = word(rng), rng.choice(("", "amq.topic", word(rng)))
        content = sentence(rng, 30).encode()
        properties = commands.Basic.Properties(
            content_type=rng.choice(("text/plain", "application/json")), delivery_mode=2
        )
        said = (
            (1, commands.Channel.Open()),
            (2, commands.Channel.OpenOk()),
            (1, commands.Queue.Declare(queue=queue)),
            (2, commands.Queue.DeclareOk(queue, 0, rng.randrange(3))),
            (1, commands.Exchange.Declare(exchange=exchange)),
            (2, commands.Exchange.DeclareOk()),
            (1, commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=queue)),
            (2, commands.Queue.BindOk()),
            (1, commands.Basic.Consume(queue=queue, consumer_tag=f"ctag{number}")),
            (2, commands.Basic.ConsumeOk(f"ctag{number}")),
            (1, commands.Basic.Publish(exchange=exchange, routing_key=queue)),
            (2, commands.Basic.Deliver(f"ctag{number}", number, False, exchange, queue)),
            (1, header.ContentHeader(0, len(content), properties)),
            (1, body.ContentBody(content)),
            (1, commands.Basic.Ack(number)),
        )
        for side, one in said:
            yield side, frame.marshal(one, channel)
    yield ASKS, frame.marshal(commands.Connection.Close(200, "bye", 0, 0), 0)


def websocket(rng: Random) -> Iterator[Said]:
    """Text, binary, pings, pongs and closings; the client's frames are masked."""
    for client in (True, False):
        talk = websocket_frames.FrameProtocol(client=client, extensions=[])
        for _ in range(14):
            size = rng.choice((0, 2, 12, 60, 130, 700))
            payload = rng.choice((sentence(rng, 20), b'{"type":"%d"}' % rng.randrange(99), rng.randbytes(size)))
            data = payload.encode() if isinstance(payload, str) else payload
            frames = [talk.send_data(payload if isinstance(payload, (str, bytes)) else data, fin=True)]
            frames.append(rng.choice((talk.ping, talk.pong))(data[: rng.randrange(20)]))
            for one in frames:
                yield (1 if client else 2), _remasked(bytes(one), rng) if client else bytes(one)
        closed = bytes(talk.close(rng.choice((1000, 1001)), ""))
        yield (1 if client else 2), _remasked(closed, rng) if client else closed


def _remasked(made: bytes, rng: Random) -> bytes:
    """Put another mask in the place of the one that the library drew from the system."""
    at = {126: 4, 127: 10}.get(made[1] & 0x7F, 2)
    mask = rng.randbytes(4)
    change = bytes(a ^ b for a, b in zip(made[at : at + 4], mask, strict=True))
    rest = made[at + 4 :]
    return made[:at] + mask + bytes(value ^ change[i & 3] for i, value in enumerate(rest))


def bitcoin(rng: Random) -> Iterator[Said]:
    """Versions, inventories, pings, headers and addresses of the main network."""
    classes = bitcoin_messages
    for _ in range(8):
        version = classes.msg_version()
        version.nTime, version.nNonce, version.nStartingHeight = (
            rng.getrandbits(31),
            rng.getrandbits(64),
            rng.randrange(900000),
        )
        ping, pong = classes.msg_ping(nonce=rng.getrandbits(64)), classes.msg_pong(nonce=rng.getrandbits(64))
        items = []
        for _ in range(rng.randint(1, 6)):
            item = classes.CInv()
            item.type, item.hash = rng.choice((1, 2)), rng.randbytes(32)
            items.append(item)
        told, asked, heads = classes.msg_inv(), classes.msg_getdata(), classes.msg_headers()
        told.inv = asked.inv = items
        heads.headers = [CBlockHeader(2, rng.randbytes(32), rng.randbytes(32), rng.getrandbits(31), 0x1D00FFFF, 7)]
        for one in (version, classes.msg_verack(), ping, pong, told, asked, classes.msg_getaddr(), heads):
            yield rng.choice((1, 2)), one.to_bytes()


def cql(rng: Random) -> Iterator[Said]:
    """What a Cassandra client asks (the driver encodes no answers)."""
    version = rng.choice((3, 4, 4))
    asked = [StartupMessage("3.4.5", {}), OptionsMessage()]
    for _ in range(24):
        table = f"{word(rng)}.{word(rng)}"
        text = rng.choice(
            (
                f"SELECT * FROM {table} WHERE id={rng.randrange(999)}",
                f"INSERT INTO {table} (a, b) VALUES ('{word(rng)}', 1)",
                "SELECT peer, rpc_address FROM system.peers",
                f"USE {word(rng)}",
                f"UPDATE {table} SET a='{sentence(rng, 3)}'",
            )
        )
        asked.append(
            rng.choice(
                (
                    QueryMessage(text, ConsistencyLevel.ONE),
                    QueryMessage(text, ConsistencyLevel.QUORUM),
                    PrepareMessage(text),
                    ExecuteMessage(rng.randbytes(16), [], ConsistencyLevel.ONE),
                )
            )
        )
    for stream, one in enumerate(asked):
        yield ASKS, bytes(ProtocolHandler.encode_message(one, stream, version, None, False))


def ldap(rng: Random) -> Iterator[Said]:
    """Binds, searches with their entries, and farewells."""
    base = ",".join(f"dc={label}" for label in host(rng).split("."))
    for number in range(1, 13):
        user = f"cn={word(rng)},{base}"
        bind = LDAP_BindRequest(
            bind_name=ASN1_STRING(user), authentication=LDAP_Authentication_simple(word(rng).encode())
        )
        yield ASKS, bytes(LDAP(messageID=number, protocolOp=bind))
        yield ANSWERS, bytes(LDAP(messageID=number, protocolOp=LDAP_BindResponse(resultCode=rng.choice((0, 0, 49)))))
        test = rng.choice(
            (
                LDAP_FilterPresent(present=ASN1_STRING("objectClass")),
                LDAP_FilterEqual(attributeType=ASN1_STRING("cn"), attributeValue=ASN1_STRING(word(rng))),
            )
        )
        search = LDAP_SearchRequest(
            baseObject=ASN1_STRING(rng.choice((base, ""))),
            scope=rng.randrange(3),
            filter=LDAP_Filter(filter=test),
            attributes=[LDAP_SearchRequestAttribute(type=ASN1_STRING(word(rng))) for _ in range(rng.randrange(3))],
        )
        yield ASKS, bytes(LDAP(messageID=number, protocolOp=search))
        told = [
            LDAP_PartialAttribute(
                type=ASN1_STRING(word(rng)), values=[LDAP_AttributeValue(value=ASN1_STRING(word(rng)))]
            )
        ]
        yield (
            ANSWERS,
            bytes(
                LDAP(
                    messageID=number, protocolOp=LDAP_SearchResponseEntry(objectName=ASN1_STRING(user), attributes=told)
                )
            ),
        )
        yield ANSWERS, bytes(LDAP(messageID=number, protocolOp=LDAP_SearchResponseResultDone(resultCode=0)))
    yield ASKS, bytes(LDAP(messageID=99, protocolOp=LDAP_UnbindRequest()))


def socks(rng: Random) -> Iterator[Said]:
    """Versions 4 and 5: methods, requests by address and by name, answers."""
    for _ in range(12):
        if rng.random() < 0.4:
            asked = SOCKS4Request(cd=1, dstport=rng.choice((80, 443)), dst=ipv4(rng), userid=word(rng).encode())
            yield ASKS, bytes(SOCKS(vn=4) / asked)
            yield ANSWERS, bytes(SOCKS(vn=0) / SOCKS4Reply(cd=rng.choice((90, 91))))
            continue
        yield from (
            (ASKS, rng.choice((b"\5\1\0", b"\5\2\0\2", b"\5\2\0\1"))),
            (ANSWERS, b"\5" + rng.choice((b"\0", b"\2"))),
        )
        by_name = rng.random() < 0.5
        where = {"atyp": 3, "addr": host(rng).encode()} if by_name else {"atyp": 1, "addr": ipv4(rng)}
        yield ASKS, bytes(SOCKS(vn=5) / SOCKS5Request(cd=1, port=rng.choice((80, 443)), **where))
        yield (
            ANSWERS,
            bytes(
                SOCKS(vn=5) / SOCKS5Reply(rep=rng.choice((0, 0, 5)), port=rng.getrandbits(16), atyp=1, addr=ipv4(rng))
            ),
        )


def rpc_nfs(rng: Random) -> Iterator[Said]:
    """Sun RPC calls to the port mapper, to mount and to NFS, and answers, over TCP."""
    for _ in range(16):
        number = rng.getrandbits(32)
        program = rng.choice(
            ((100000, 2, 3), (100003, 3, rng.randrange(22)), (100005, 3, rng.randrange(6)), (100000, 2, 0))
        )
        call = RPC(xid=number, mtype=0) / RPC_Call(program=program[0], pversion=program[1], procedure=program[2])
        arguments = rng.randbytes(4 * rng.choice((0, 4, 9, 20)))
        asked = bytes(call) + arguments
        yield ASKS, bytes(RM_Header(rm=0x80000000 | len(asked)))[:4] + asked
        told = bytes(RPC(xid=number, mtype=1) / RPC_Reply()) + rng.randbytes(4 * rng.choice((1, 2, 21)))
        yield ANSWERS, bytes(RM_Header(rm=0x80000000 | len(told)))[:4] + told


def _netbios(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def smb_messages(rng: Random) -> Iterator[Said]:
    """Versions 1 and 2 as impacket packs them: negotiation, sessions, trees, files, echoes."""
    for number in range(10):
        old = smb.NewSMBPacket()
        old["Flags1"], old["Flags2"] = rng.choice((0x08, 0x18, 0x98)), rng.choice((0xC803, 0xC807, 0x4801))
        old["Pid"], old["Mid"], old["Tid"] = rng.getrandbits(16), number, rng.getrandbits(11)
        kind = rng.choice((0x72, 0x73, 0x75, 0xA2, 0x2E, 0x2F, 0x04, 0x71, 0x25, 0x32))
        command = smb.SMBCommand(kind)
        command["Parameters"] = rng.randbytes(2 * rng.choice((0, 2, 8, 12)))
        text = f"\\\\{ipv4(rng)}\\IPC$" if kind == 0x75 else sentence(rng, 3)
        command["Data"] = b"\x02NT LM 0.12\0" if kind == 0x72 else text.encode("utf-16-le")
        old.addCommand(command)
        yield ASKS, _netbios(old.getData())
        new = smb3structs.SMB2Packet()
        new["Command"], new["MessageID"], new["TreeID"] = rng.randrange(18), number, rng.randrange(9)
        new["SessionID"], new["CreditRequestResponse"] = rng.getrandbits(40), rng.choice((1, 31, 127))
        side = rng.choice((1, 2))
        new["Flags"] = side - 1
        new["Data"] = (
            rng.choice((4, 9, 16, 24, 36, 49, 57)).to_bytes(2, "little")
            + bytes(6)
            + rng.randbytes(rng.choice((0, 16, 40)))
            + text.encode("utf-16-le")
        )
        yield side, _netbios(new.getData())


def dcerpc(rng: Random) -> Iterator[Said]:
    """Binds, requests and responses over a connection as impacket packs them."""
    for number in range(1, 15):
        bind = rpcrt.MSRPCBind()
        item = rpcrt.CtxItem()
        item["AbstractSyntax"] = rng.randbytes(16) + bytes([rng.randrange(4), 0, 0, 0])
        item["TransferSyntax"] = bytes.fromhex("045d888aeb1cc9119fe808002b10486002000000")
        item["ContextID"], item["TransItems"] = 0, 1
        bind.addCtxItem(item)
        opening = rpcrt.MSRPCHeader()
        opening["type"], opening["pduData"], opening["call_id"] = rpcrt.MSRPC_BIND, bind.getData(), number
        yield ASKS, opening.get_packet()
        asked = rpcrt.MSRPCRequestHeader()
        asked["op_num"], asked["call_id"], asked["type"] = rng.randrange(60), number, rpcrt.MSRPC_REQUEST
        asked["pduData"] = rng.choice((rng.randbytes(20), sentence(rng, 6).encode("utf-16-le"), bytes(24)))
        asked["alloc_hint"] = len(asked["pduData"])
        yield ASKS, asked.get_packet()
        told = rpcrt.MSRPCRespHeader()
        told["call_id"], told["type"] = (
            number,
            rng.choice((rpcrt.MSRPC_RESPONSE, rpcrt.MSRPC_RESPONSE, rpcrt.MSRPC_FAULT)),
        )
        told["pduData"] = rng.choice((bytes(4), rng.randbytes(20) + bytes(4), sentence(rng, 9).encode("utf-16-le")))
        told["alloc_hint"] = len(told["pduData"])
        yield ANSWERS, told.get_packet()


TALKS = {
    "amqp": amqp,
    "bitcoin": bitcoin,
    "cql": cql,
    "dcerpc": dcerpc,
    "ldap": ldap,
    "mqtt": mqtt,
    "rpc_nfs": rpc_nfs,
    "smb": smb_messages,
    "socks": socks,
    "websocket": websocket,
}
