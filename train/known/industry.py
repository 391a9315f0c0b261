"""Protocols of plants: pymodbus, python-snap7, asyncua, Scapy's layers."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Iterator
from random import Random

import snap7
from asyncua import Client, Server, ua
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import register_message as registers
from scapy.contrib.enipTCP import ENIPTCP, ENIPListIdentity, ENIPRegisterSession, ENIPSendRRData, ENIPSendUnitData
from scapy.contrib.ethercat import EtherCat, EtherCatFPRD, EtherCatFPWR, EtherCatLRW
from scapy.contrib.pnio import ProfinetIO
from scapy.contrib.scada import iec104 as telecontrol
from scapy.layers.l2 import Ether
from snap7.server import Server as Controller
from snap7.type import SrvArea

from .relay import Relay, free_port, relayed
from .said import ANSWERS, ASKS, Said, word


def _modbus_pair(rng: Random, unit: int) -> tuple[ModbusPDU, ModbusPDU]:
    at, count = rng.choice((0, 1, 100, rng.getrandbits(12))), rng.choice((1, 2, 10, rng.randint(1, 60)))
    flags = [rng.random() < 0.5 for _ in range(count)]
    values = [rng.choice((0, 1, rng.getrandbits(8), rng.getrandbits(16))) for _ in range(count)]
    where = {"dev_id": unit, "address": at}
    pairs = {
        "holding": (
            registers.ReadHoldingRegistersRequest(**where, count=count),
            registers.ReadHoldingRegistersResponse(dev_id=unit, registers=values),
        ),
        "input": (
            registers.ReadInputRegistersRequest(**where, count=count),
            registers.ReadInputRegistersResponse(dev_id=unit, registers=values),
        ),
        "coils": (bits.ReadCoilsRequest(**where, count=count), bits.ReadCoilsResponse(dev_id=unit, bits=flags)),
        "discrete": (
            bits.ReadDiscreteInputsRequest(**where, count=count),
            bits.ReadDiscreteInputsResponse(dev_id=unit, bits=flags),
        ),
        "one": (
            registers.WriteSingleRegisterRequest(**where, registers=values[:1]),
            registers.WriteSingleRegisterResponse(**where, registers=values[:1]),
        ),
        "coil": (
            bits.WriteSingleCoilRequest(**where, bits=flags[:1]),
            bits.WriteSingleCoilResponse(**where, bits=flags[:1]),
        ),
        "many": (
            registers.WriteMultipleRegistersRequest(**where, registers=values),
            registers.WriteMultipleRegistersResponse(**where, count=count),
        ),
        "refused": (
            registers.ReadHoldingRegistersRequest(**where, count=count),
            ExceptionResponse(3, 2, device_id=unit),
        ),
    }
    return pairs[rng.choice(sorted(pairs))]


def modbus(rng: Random) -> Iterator[Said]:
    """Reading and writing of bits and registers, and refusals, over TCP."""
    framer, unit = FramerSocket(DecodePDU(True)), rng.choice((0, 1, 1, 255, rng.randint(1, 247)))
    number = rng.choice((0, rng.getrandbits(16)))
    for _ in range(20):
        number = number + 1 & 0xFFFF
        for side, pdu in zip((ASKS, ANSWERS), _modbus_pair(rng, unit), strict=True):
            pdu.transaction_id, pdu.dev_id = number, unit
            yield side, framer.buildFrame(pdu)


def s7comm(rng: Random) -> Iterator[Said]:
    """A controller that is set up, read and written."""
    controller, port = Controller(log=False), free_port()
    for number in range(1, 4):
        controller.register_area(SrvArea.DB, number, bytearray(rng.randbytes(256)))
    controller.start_to("127.0.0.1", tcp_port=port)
    try:
        with relayed(port) as relay:
            client = snap7.Client()
            client.connect("127.0.0.1", rng.randrange(2), rng.randrange(3), relay.port)
            for _ in range(16):
                block, at = rng.randint(1, 3), rng.randrange(100)
                rng.choice(
                    (
                        lambda b=block, a=at: client.db_read(b, a, rng.choice((1, 2, 4, 40))),
                        client.get_cpu_state,
                        lambda b=block, a=at: client.db_write(b, a, bytearray(rng.randbytes(rng.choice((1, 2, 8))))),
                        lambda b=block, a=at: client.db_read(b, a, rng.randint(1, 60)),
                    )
                )()
            client.disconnect()
        yield from relay.said
    finally:
        controller.destroy()


def iec104(rng: Random) -> Iterator[Said]:
    """Starting, testing, acknowledging, measured values, and commands."""
    sent = rng.randrange(99)
    for kind in (0x07, 0x0B, 0x43, 0x83):
        yield rng.choice((1, 2)), bytes([0x68, 4, kind, 0, 0, 0])
    station = rng.choice((1, 1, rng.randint(2, 0xFFFF)))
    names = [
        name for name in dir(telecontrol) if name.startswith(("IEC104_IO_M_", "IEC104_IO_C_")) and name.endswith("_IOA")
    ]
    for _ in range(40):
        sent += 1
        kind = getattr(telecontrol, rng.choice(names))
        objects = [
            kind(information_object_address=rng.choice((rng.randint(1, 300), rng.getrandbits(14))))
            for _ in range(rng.choice((1, 1, 1, 3)))
        ]
        made = telecontrol.IEC104_I_Message_SingleIOA(
            tx_seq_num=sent,
            rx_seq_num=rng.randrange(sent),
            type_id=kind.iec104_io_type_id(kind()),
            cot=rng.choice((1, 3, 6, 7, 10, 20)),
            common_asdu_address=station,
            io=objects,
        )
        yield (ASKS if "_C_" in kind.__name__ else ANSWERS), _filled(bytes(made), rng)
        if rng.random() < 0.4:
            yield rng.choice((1, 2)), bytes(telecontrol.IEC104_S_Message(rx_seq_num=sent))


def _filled(made: bytes, rng: Random) -> bytes:
    """Put random values into the zeros behind the first object's address, where Scapy's defaults say nothing."""
    tail = bytes(value or rng.choice((0, rng.getrandbits(8))) for value in made[15:])
    return made[:15] + tail


def opcua(rng: Random) -> Iterator[Said]:
    """A server that is browsed, read, written and watched."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield from asyncio.run(_opcua(rng))


async def _opcua(rng: Random) -> list[Said]:
    server, port = Server(), free_port()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/{word(rng)}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    space = await server.register_namespace(f"http://{word(rng)}.example")
    device = await server.nodes.objects.add_object(space, word(rng))
    nodes = [
        await device.add_variable(space, word(rng) + str(i), rng.choice((rng.random(), rng.getrandbits(16), word(rng))))
        for i in range(6)
    ]
    for node in nodes:
        await node.set_writable()
    async with server:
        relay = Relay(port)
        async with Client(f"opc.tcp://127.0.0.1:{relay.port}/{word(rng)}/") as client:
            for _ in range(10):
                here = client.get_node(rng.choice(nodes).nodeid)
                value = await here.read_value()
                await here.write_value(value)
                await client.get_node(device.nodeid).get_children()
                await here.read_browse_name()
        await asyncio.to_thread(relay.close)  # the server answers the last words meanwhile
    return relay.said


def pn_rt(rng: Random) -> Iterator[Said]:
    """Cyclic data with its provider states, cycle counter and data status."""
    frame, counter, size = rng.randrange(0x8000, 0xC003), rng.getrandbits(16), rng.choice((40, 40, 60))
    image = bytearray(rng.choice((0, 0, 0x80, rng.getrandbits(8))) for _ in range(size))
    for _ in range(24):
        counter = counter + rng.choice((32, 64, 128)) & 0xFFFF
        if rng.random() < 0.4:
            image[rng.randrange(size)] = rng.getrandbits(8)
        made = bytes(ProfinetIO(frameID=frame)) + bytes(image)
        yield ASKS, made + counter.to_bytes(2, "big") + bytes([rng.choice((0x35, 0x35, 0x25)), 0])


def ecat(rng: Random) -> Iterator[Said]:
    """Reads and writes of slaves and of the process image."""
    for number in range(24):
        parts = []
        for _ in range(rng.randint(1, 3)):
            data = [rng.choice((0, rng.getrandbits(8))) for _ in range(rng.choice((2, 4, 16)))]
            kind = rng.choice((EtherCatLRW, EtherCatFPRD, EtherCatFPWR))
            where = (
                {"adr": 0x10000 * rng.randrange(2)}
                if kind is EtherCatLRW
                else {"adp": 1000 + rng.randrange(9), "ado": rng.choice((0x130, 0x300, 0x1000))}
            )
            parts.append(kind(idx=number, data=data, wkc=rng.randrange(4), **where))
        made = Ether() / EtherCat()
        for part in parts:
            made /= part
        yield ASKS, bytes(made)[14:]


def enip(rng: Random) -> Iterator[Said]:
    """Sessions and what is sent in them."""
    session = rng.getrandbits(32)
    for number in range(12):
        context = {"session": session, "senderContext": rng.getrandbits(64)}
        for side in (1, 2):
            yield side, bytes(ENIPTCP(commandId=0x65, **context) / ENIPRegisterSession())
            data = rng.choice((ENIPSendRRData(), ENIPSendUnitData()))
            yield (
                side,
                bytes(ENIPTCP(commandId=0x6F if isinstance(data, ENIPSendRRData) else 0x70, **context) / data)
                + rng.randbytes(rng.randrange(30)),
            )
        yield ASKS, bytes(ENIPTCP(commandId=0x63, session=0, senderContext=number) / ENIPListIdentity())


TALKS = {
    "ecat": ecat,
    "enip": enip,
    "iec104": iec104,
    "modbus": modbus,
    "opcua": opcua,
    "pn_rt": pn_rt,
    "s7comm": s7comm,
}
