"""A reader's program: a card in one reader, the terminal's PSAM in another.

It knows no key and does no cryptography: the PSAM does. What it does is what the
traces of real readers show, an external authentication and a purchase.
"""

import sys

from smartcard.System import readers

SSSE = bytes.fromhex("7378312E73682EC9E7BBE1B1A3D5CF")
SIXTEEN = bytes.fromhex("7378322E73682EC9E7BBE1B1A3D5CF")
RAW = bytes(range(1, 9))
TIME = bytes.fromhex("20260102083000")


class Connected:
    """A card in a reader, over T=0."""

    def __init__(self, reader):
        self.connection = reader.createConnection()
        self.connection.connect()

    def send(self, command):
        data, sw1, sw2 = self.connection.transmit(list(command))
        if sw1 == 0x6C:
            data, sw1, sw2 = self.connection.transmit(list(command[:4]) + [sw2])
        if sw1 == 0x61:
            data, sw1, sw2 = self.connection.transmit([0x00, 0xC0, 0x00, 0x00, sw2])
        return bytes(data), sw1 << 8 | sw2

    def ask(self, header, data=b"", le=None):
        command = bytes.fromhex(header)
        command += bytes([len(data)]) + data if data else b""
        command += bytes([le]) if le is not None else b""
        answer, sw = self.send(command)
        if sw != 0x9000:
            sys.exit(f"{command.hex().upper()} was answered {sw:04X}")
        return answer


card, psam = (Connected(reader) for reader in readers())
historical = bytes(card.connection.getATR())[4:17]
fci = card.ask("00A40400", SSSE)
block = 16 if bytes.fromhex("860103") in fci else 8
card.ask("00A40200", bytes.fromhex("EF05"))
code = card.ask("00B20100", le=0)[2:]
region = code[:3].hex()

# Who gave the PSAM out says how many factors there are.
levels = int(sys.argv[1])
f1 = region[:2].encode() + b"0000sh"
f2 = region.encode() + b"sx"
f3 = historical[5:13]
factors = b"".join([f3, f2, f1][:levels])

terminal = psam.ask("00B09600", le=6)
if block == 16:
    psam.ask("00A40400", SIXTEEN)
psam.ask("00A40000", bytes.fromhex("DF01"))


def deliver(kind, key, random):
    psam.ask(f"BFDE{levels << 5 | kind:02X}{key:02X}", factors + random.ljust(block, b"\0"))


def authenticate(kind, key, kid):
    random = card.ask("00840000", le=8)
    deliver(kind, key, random)
    enciphered = psam.ask("80FA0000", RAW.ljust(block, b"\0"))
    left, right = enciphered[:8], enciphered[8:].ljust(8, b"\0")
    card.ask(f"008200{kid:02X}", bytes(a ^ b for a, b in zip(left, right)) + RAW)


# Trace E: RK1DF01 opens DF01.
card.ask("00A40000", bytes.fromhex("DF01"))
_, refused = card.send(bytes.fromhex("00B2202800"))
assert refused == 0x6982, f"{refused:04X}"
authenticate(7, 0x2E, 0x88)
nation = card.ask("00B22028", le=0)
print("DF01EF05|20", nation.hex().upper())

# Trace F: PUK, then the unblocking of the PIN, and its first change.
card.ask("00A40400", SSSE)
authenticate(8, 0x10, 0x06)
deliver(6, 0x09, card.ask("00840000", le=8))
unblock = bytes.fromhex("8424000004")
padded = (unblock + b"\x80").ljust(block * -(-6 // block), b"\0")
mac = psam.ask("80FA0500", bytes(block) + padded)
card.ask("84240000", mac)
card.ask("805E0100", bytes.fromhex("123456FF246802"))

# Trace G: a purchase that the holder and the fund pay.
card.ask("00200000", bytes.fromhex("246802"))
card.ask("00A40000", bytes.fromhex("DF04"))
amounts = bytes.fromhex("000000000000006400000032")
offer = card.ask("B0280101", b"\x01" + amounts + terminal, 0x16)
number, key, random = offer[14:16], offer[16:18], offer[18:22]
answer = psam.ask("80700100", random + number + amounts + b"\x32" + TIME + key + factors)
transaction, mac1 = answer[:4], answer[4:]
done = card.ask("B02C0100", transaction + TIME + mac1, 0x08)
psam.ask("80720000", done[4:])
proof = card.ask("B02E0032", number, 0x08)
assert proof == done[4:] + done[:4], "the proof is another purchase's"
print("purchase", transaction.hex().upper())
