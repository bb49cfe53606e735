"""What went over the wire, gone through by a library of others.

Reads runs as JSON from the standard input, each with a bank's master keys, an authority's
public key and the exchange of a terminal with a card, and checks all that is EMV's: card
keys, cryptograms and the answers to them, MACs, PIN blocks, certificates, signatures.
pyemv has the symmetric part; RSA is a power and a hash. The session keys are PBOC's own
and are made here from pyemv's triple DES.
"""

import hashlib
import json
import sys

import pyemv
from pyemv.tools import encrypt_tdes_ecb, key_check_digits

CHECKS = {}


def check(name, found, expected):
    if found != expected:
        found, expected = (v.hex() if isinstance(v, bytes) else v for v in (found, expected))
        sys.exit(f"{name}: {found} on the wire, {expected} by pyemv")
    CHECKS[name] = CHECKS.get(name, 0) + 1


def session_key(card_key, atc):
    other = bytes(byte ^ 0xFF for byte in atc)
    return encrypt_tdes_ecb(card_key, bytes(6) + atc) + encrypt_tdes_ecb(card_key, bytes(6) + other)


def mac(key, data, length):
    return pyemv.mac.mac_iso9797_3(key[:8], key[8:], data, 2, length)


def split(dol, data):
    """The values that a list was filled with, by their tags."""
    values, at = {}, 0
    while dol:
        size = 2 if dol[0] & 0x1F == 0x1F else 1
        tag, length, dol = dol[:size].hex().upper(), dol[size], dol[size + 1 :]
        values[tag] = data[at : at + length]
        at += length
    assert at == len(data), "a list that was filled otherwise"
    return values


def recovered(key, signature, kind, behind):
    """What is between header and hash of a signature, once all of it is right."""
    modulus, exponent = key
    block = pow(int.from_bytes(signature, "big"), exponent, int.from_bytes(modulus, "big"))
    block = block.to_bytes(len(modulus), "big")
    check("header and trailer", (block[0], block[1], block[-1]), (0x6A, kind, 0xBC))
    check("hash", block[-21:-1], hashlib.sha1(block[1:-21] + behind).digest())
    return block[1:-21]


def certified(key, certificate, kind, name_len, remainder, exponent, static):
    body = recovered(key, certificate, kind, remainder + exponent + static)
    name, rest = body[1 : 1 + name_len], body[1 + name_len + 2 + 3 + 2 :]
    modulus = (rest[2 : 2 + rest[0]] + remainder)[: rest[0]]
    check("length of a key", len(modulus), rest[0])
    return (modulus, int.from_bytes(exponent, "big")), name


class Run:
    """A terminal's exchange with a card."""

    def __init__(self, given):
        unhex = bytes.fromhex
        self.masters = [unhex(key) for key in given["masters"]]
        self.check_values = [unhex(value) for value in given["check_values"]]
        self.account, self.sequence = given["account"], given["sequence"]
        self.authority = (unhex(given["authority"]["modulus"]), given["authority"]["exponent"])
        self.pin, self.new_pin = given["pin"], given["new_pin"]
        self.exchange = [(unhex(command), unhex(answer)) for command, answer in given["exchange"]]
        self.keys = [
            pyemv.kd.derive_icc_mk_a(master, self.account, self.sequence) for master in self.masters
        ]
        for key, value in zip(self.keys, self.check_values):
            check("check value", value, key_check_digits(key, 3))
        self.elements, self.signed, self.lists = {}, b"", []
        self.card_key = None

    def go(self):
        handlers = {
            0xA4: self.select,
            0xA8: self.options,
            0xB2: self.record,
            0x88: self.dynamic,
            0x20: self.verify,
            0xAE: self.cryptogram,
            0x82: self.issuer,
        }
        for command, answer in self.exchange:
            sw, answer = answer[-2:], answer[:-2]
            data = command[5 : 5 + command[4]] if len(command) > 5 else b""
            if command[1] in (0x16, 0x18, 0x1E, 0x24, 0xDA, 0xDC):
                self.script(command)
            elif command[1] in handlers and sw == b"\x90\x00":
                handlers[command[1]](command, data, answer)

    def select(self, command, data, answer):
        if data.startswith(bytes.fromhex("A000000333")):
            fci = pyemv.tlv.decode(answer, flatten=True)
            check("name", fci["84"], data)
            self.elements = {"9F38": fci["9F38"]}
            self.signed, self.lists, self.card_key = b"", [], None

    def options(self, command, data, answer):
        assert data[0] == 0x83 and data[1] == len(data) - 2
        self.lists = [(self.elements["9F38"], data[2:])]
        self.aip, self.locator = answer[2:4], answer[4:]

    def record(self, command, data, answer):
        record, sfi = command[2], command[3] >> 3
        inner = answer[3:] if answer[1] == 0x81 else answer[2:]
        elements = pyemv.tlv.decode(answer, flatten=True)
        if "4F" in elements:
            return
        for at in range(0, len(self.locator), 4):
            file, first, last, signed = self.locator[at : at + 4]
            if file >> 3 == sfi and first <= record <= last and record < first + signed:
                self.signed += inner
        for tag, value in elements.items():
            assert tag not in self.elements, f"{tag} twice"
            self.elements[tag] = value

    def certificates(self):
        """The chain down to the card's key, and the signed static data."""
        if self.card_key:
            return self.card_key
        of, static = self.elements.get, self.signed + self.aip
        account = of("5A").hex().upper().rstrip("F")
        check("account", account, self.account)
        issuer, name = certified(
            self.authority, of("90"), 2, 4, of("92", b""), of("9F32"), b""
        )
        check("issuer", account.startswith(name.hex().upper().rstrip("F")), True)
        recovered(issuer, of("93"), 3, static)
        self.card_key, name = certified(
            issuer, of("9F46"), 4, 10, of("9F48", b""), of("9F47"), static
        )
        check("account of the certificate", name.hex().upper().rstrip("F"), account)
        return self.card_key

    def dynamic(self, command, data, answer):
        signature = pyemv.tlv.decode(answer)["80"]
        recovered(self.certificates(), signature, 5, data)
        CHECKS["DDA"] = CHECKS.get("DDA", 0) + 1

    def verify(self, command, data, answer):
        if command[3] == 0x80:
            check("PIN block", data, pyemv.sm.format_iso9564_2_pin_block(self.pin))

    def cryptogram(self, command, data, answer):
        self.certificates()
        second = len(self.lists) == 2
        self.lists.append((self.elements["8D" if second else "8C"], data))
        told = {}
        for dol, values in self.lists:
            told.update(split(dol, values))
        made = pyemv.tlv.decode(answer, flatten=True)
        if "80" in made:
            flat = made["80"]
            cid, atc, ac, issuer = flat[0:1], flat[1:3], flat[3:11], flat[11:]
        else:
            cid, atc, issuer = made["9F27"], made["9F36"], made["9F10"]
            body = recovered(self.certificates(), made["9F4B"], 5, told["9F37"])
            dynamic = body[3 : 3 + body[2]]
            rest = dynamic[1 + dynamic[0] :]
            check("CID of the signature", rest[:1], cid)
            ac = rest[1:9]
            others = pyemv.tlv.encode({tag: made[tag] for tag in made if tag != "9F4B"})
            lists = b"".join(values for _, values in self.lists)
            check("CDA", rest[9:29], hashlib.sha1(lists + others).digest())
        key = session_key(self.keys[0], atc)
        order = ["9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37"]
        over = b"".join(told[tag] for tag in order) + self.aip + atc + issuer[3:7]
        expected = pyemv.ac.generate_ac(key, over, pyemv.ac.PaddingType.EMV)
        check({0: "AAC", 1: "TC", 2: "ARQC"}[cid[0] >> 6], ac, expected)
        if len(issuer) > 8:
            value, own = issuer[10:-4], issuer[-4:]
            check("MAC of issuer data", own, mac(session_key(self.keys[1], atc), atc + value + b"\0", 4))
        if not second:
            self.atc, self.first = atc, ac

    def issuer(self, command, data, answer):
        key = session_key(self.keys[0], self.atc)
        check("ARPC", data[:8], pyemv.ac.generate_arpc_1(key, self.first, data[8:]))

    def script(self, command):
        header, data, own = command[:5], command[5:-4], command[-4:]
        key = session_key(self.keys[1], self.atc)
        over = header + self.atc + self.first + data
        check("MAC of a script", own, pyemv.sm.generate_command_mac(key, over, 4))
        if command[1] == 0x24 and command[3] in (1, 2):
            present = self.pin if command[3] == 1 else None
            # The block of VIS, with the key for enciphering in the place of that for cryptograms.
            block = pyemv.sm.format_vis_pin_block(self.keys[2], self.new_pin, present)
            kind = pyemv.sm.EncryptionType.VISA
            key = session_key(self.keys[2], self.atc)
            check("PIN change", data, pyemv.sm.encrypt_command_data(key, block, kind))


for given in json.load(sys.stdin):
    Run(given).go()
print(" ".join(f"{name.replace(' ', '_')}={count}" for name, count in sorted(CHECKS.items())))
