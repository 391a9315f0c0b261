"""
The catalogue of CRC algorithms of 8, 16, 24 and 32 bits: a table of parameters.

Source: G. Cook, "Catalogue of parametrised CRC algorithms" (CRC RevEng),
in the notation of R. Williams' Rocksoft model.
``check`` is the CRC of the ASCII digits 123456789.
"""

from __future__ import annotations

from typing import NamedTuple


class CrcParameters(NamedTuple):
    """One algorithm: width in bits, generator without its leading term, and the value for ``123456789``."""

    width: int
    name: str
    poly: int
    init: int
    refin: bool
    refout: bool
    xorout: int
    check: int


# fmt: off
CATALOGUE: tuple[CrcParameters, ...] = (
    CrcParameters(8, "CRC-8/AUTOSAR", 0x2F, 0xFF, False, False, 0xFF, 0xDF),
    CrcParameters(8, "CRC-8/BLUETOOTH", 0xA7, 0x00, True, True, 0x00, 0x26),
    CrcParameters(8, "CRC-8/CDMA2000", 0x9B, 0xFF, False, False, 0x00, 0xDA),
    CrcParameters(8, "CRC-8/DARC", 0x39, 0x00, True, True, 0x00, 0x15),
    CrcParameters(8, "CRC-8/DVB-S2", 0xD5, 0x00, False, False, 0x00, 0xBC),
    CrcParameters(8, "CRC-8/GSM-A", 0x1D, 0x00, False, False, 0x00, 0x37),
    CrcParameters(8, "CRC-8/GSM-B", 0x49, 0x00, False, False, 0xFF, 0x94),
    CrcParameters(8, "CRC-8/HITAG", 0x1D, 0xFF, False, False, 0x00, 0xB4),
    CrcParameters(8, "CRC-8/I-432-1", 0x07, 0x00, False, False, 0x55, 0xA1),
    CrcParameters(8, "CRC-8/I-CODE", 0x1D, 0xFD, False, False, 0x00, 0x7E),
    CrcParameters(8, "CRC-8/LTE", 0x9B, 0x00, False, False, 0x00, 0xEA),
    CrcParameters(8, "CRC-8/MAXIM-DOW", 0x31, 0x00, True, True, 0x00, 0xA1),
    CrcParameters(8, "CRC-8/MIFARE-MAD", 0x1D, 0xC7, False, False, 0x00, 0x99),
    CrcParameters(8, "CRC-8/NRSC-5", 0x31, 0xFF, False, False, 0x00, 0xF7),
    CrcParameters(8, "CRC-8/OPENSAFETY", 0x2F, 0x00, False, False, 0x00, 0x3E),
    CrcParameters(8, "CRC-8/ROHC", 0x07, 0xFF, True, True, 0x00, 0xD0),
    CrcParameters(8, "CRC-8/SAE-J1850", 0x1D, 0xFF, False, False, 0xFF, 0x4B),
    CrcParameters(8, "CRC-8/SMBUS", 0x07, 0x00, False, False, 0x00, 0xF4),
    CrcParameters(8, "CRC-8/TECH-3250", 0x1D, 0xFF, True, True, 0x00, 0x97),
    CrcParameters(8, "CRC-8/WCDMA", 0x9B, 0x00, True, True, 0x00, 0x25),
    CrcParameters(16, "CRC-16/ARC", 0x8005, 0x0000, True, True, 0x0000, 0xBB3D),
    CrcParameters(16, "CRC-16/CDMA2000", 0xC867, 0xFFFF, False, False, 0x0000, 0x4C06),
    CrcParameters(16, "CRC-16/CMS", 0x8005, 0xFFFF, False, False, 0x0000, 0xAEE7),
    CrcParameters(16, "CRC-16/DDS-110", 0x8005, 0x800D, False, False, 0x0000, 0x9ECF),
    CrcParameters(16, "CRC-16/DECT-R", 0x0589, 0x0000, False, False, 0x0001, 0x007E),
    CrcParameters(16, "CRC-16/DECT-X", 0x0589, 0x0000, False, False, 0x0000, 0x007F),
    CrcParameters(16, "CRC-16/DNP", 0x3D65, 0x0000, True, True, 0xFFFF, 0xEA82),
    CrcParameters(16, "CRC-16/EN-13757", 0x3D65, 0x0000, False, False, 0xFFFF, 0xC2B7),
    CrcParameters(16, "CRC-16/GENIBUS", 0x1021, 0xFFFF, False, False, 0xFFFF, 0xD64E),
    CrcParameters(16, "CRC-16/GSM", 0x1021, 0x0000, False, False, 0xFFFF, 0xCE3C),
    CrcParameters(16, "CRC-16/IBM-3740", 0x1021, 0xFFFF, False, False, 0x0000, 0x29B1),
    CrcParameters(16, "CRC-16/IBM-SDLC", 0x1021, 0xFFFF, True, True, 0xFFFF, 0x906E),
    CrcParameters(16, "CRC-16/ISO-IEC-14443-3-A", 0x1021, 0xC6C6, True, True, 0x0000, 0xBF05),
    CrcParameters(16, "CRC-16/KERMIT", 0x1021, 0x0000, True, True, 0x0000, 0x2189),
    CrcParameters(16, "CRC-16/LJ1200", 0x6F63, 0x0000, False, False, 0x0000, 0xBDF4),
    CrcParameters(16, "CRC-16/M17", 0x5935, 0xFFFF, False, False, 0x0000, 0x772B),
    CrcParameters(16, "CRC-16/MAXIM-DOW", 0x8005, 0x0000, True, True, 0xFFFF, 0x44C2),
    CrcParameters(16, "CRC-16/MCRF4XX", 0x1021, 0xFFFF, True, True, 0x0000, 0x6F91),
    CrcParameters(16, "CRC-16/MODBUS", 0x8005, 0xFFFF, True, True, 0x0000, 0x4B37),
    CrcParameters(16, "CRC-16/NRSC-5", 0x080B, 0xFFFF, True, True, 0x0000, 0xA066),
    CrcParameters(16, "CRC-16/OPENSAFETY-A", 0x5935, 0x0000, False, False, 0x0000, 0x5D38),
    CrcParameters(16, "CRC-16/OPENSAFETY-B", 0x755B, 0x0000, False, False, 0x0000, 0x20FE),
    CrcParameters(16, "CRC-16/PROFIBUS", 0x1DCF, 0xFFFF, False, False, 0xFFFF, 0xA819),
    CrcParameters(16, "CRC-16/RIELLO", 0x1021, 0xB2AA, True, True, 0x0000, 0x63D0),
    CrcParameters(16, "CRC-16/SPI-FUJITSU", 0x1021, 0x1D0F, False, False, 0x0000, 0xE5CC),
    CrcParameters(16, "CRC-16/T10-DIF", 0x8BB7, 0x0000, False, False, 0x0000, 0xD0DB),
    CrcParameters(16, "CRC-16/TELEDISK", 0xA097, 0x0000, False, False, 0x0000, 0x0FB3),
    CrcParameters(16, "CRC-16/TMS37157", 0x1021, 0x89EC, True, True, 0x0000, 0x26B1),
    CrcParameters(16, "CRC-16/UMTS", 0x8005, 0x0000, False, False, 0x0000, 0xFEE8),
    CrcParameters(16, "CRC-16/USB", 0x8005, 0xFFFF, True, True, 0xFFFF, 0xB4C8),
    CrcParameters(16, "CRC-16/XMODEM", 0x1021, 0x0000, False, False, 0x0000, 0x31C3),
    CrcParameters(24, "CRC-24/BLE", 0x00065B, 0x555555, True, True, 0x000000, 0xC25A56),
    CrcParameters(24, "CRC-24/FLEXRAY-A", 0x5D6DCB, 0xFEDCBA, False, False, 0x000000, 0x7979BD),
    CrcParameters(24, "CRC-24/FLEXRAY-B", 0x5D6DCB, 0xABCDEF, False, False, 0x000000, 0x1F23B8),
    CrcParameters(24, "CRC-24/INTERLAKEN", 0x328B63, 0xFFFFFF, False, False, 0xFFFFFF, 0xB4F3E6),
    CrcParameters(24, "CRC-24/LTE-A", 0x864CFB, 0x000000, False, False, 0x000000, 0xCDE703),
    CrcParameters(24, "CRC-24/LTE-B", 0x800063, 0x000000, False, False, 0x000000, 0x23EF52),
    CrcParameters(24, "CRC-24/OPENPGP", 0x864CFB, 0xB704CE, False, False, 0x000000, 0x21CF02),
    CrcParameters(24, "CRC-24/OS-9", 0x800063, 0xFFFFFF, False, False, 0xFFFFFF, 0x200FA5),
    CrcParameters(32, "CRC-32/AIXM", 0x814141AB, 0x00000000, False, False, 0x00000000, 0x3010BF7F),
    CrcParameters(32, "CRC-32/AUTOSAR", 0xF4ACFB13, 0xFFFFFFFF, True, True, 0xFFFFFFFF, 0x1697D06A),
    CrcParameters(32, "CRC-32/BASE91-D", 0xA833982B, 0xFFFFFFFF, True, True, 0xFFFFFFFF, 0x87315576),
    CrcParameters(32, "CRC-32/BZIP2", 0x04C11DB7, 0xFFFFFFFF, False, False, 0xFFFFFFFF, 0xFC891918),
    CrcParameters(32, "CRC-32/CD-ROM-EDC", 0x8001801B, 0x00000000, True, True, 0x00000000, 0x6EC2EDC4),
    CrcParameters(32, "CRC-32/CKSUM", 0x04C11DB7, 0x00000000, False, False, 0xFFFFFFFF, 0x765E7680),
    CrcParameters(32, "CRC-32/ISCSI", 0x1EDC6F41, 0xFFFFFFFF, True, True, 0xFFFFFFFF, 0xE3069283),
    CrcParameters(32, "CRC-32/ISO-HDLC", 0x04C11DB7, 0xFFFFFFFF, True, True, 0xFFFFFFFF, 0xCBF43926),
    CrcParameters(32, "CRC-32/JAMCRC", 0x04C11DB7, 0xFFFFFFFF, True, True, 0x00000000, 0x340BC6D9),
    CrcParameters(32, "CRC-32/MEF", 0x741B8CD7, 0xFFFFFFFF, True, True, 0x00000000, 0xD2C22F51),
    CrcParameters(32, "CRC-32/MPEG-2", 0x04C11DB7, 0xFFFFFFFF, False, False, 0x00000000, 0x0376E6E7),
    CrcParameters(32, "CRC-32/XFER", 0x000000AF, 0x00000000, False, False, 0x00000000, 0xBD0BE338),
)
# fmt: on


def catalogue_name(width: int, poly: int, init: int, refin: bool, refout: bool, xorout: int) -> str:
    """Return the catalogue's name of these parameters (``width`` in bits), or an empty string."""
    return _NAMES.get((width, poly, init, refin, refout, xorout), "")


_NAMES = {(c.width, c.poly, c.init, c.refin, c.refout, c.xorout): c.name for c in CATALOGUE}
