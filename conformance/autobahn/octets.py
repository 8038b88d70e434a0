"""What the suite's cases knew as str: in Python 2 octets, here text of the code points 0 to 255."""

import binascii

from autobahn.websocket.utf8validator import Utf8Validator as Validator


def to_bytes(octets):
    return octets.encode("latin-1") if isinstance(octets, str) else octets


def from_bytes(octets):
    return octets.decode("latin-1") if isinstance(octets, (bytes, bytearray)) else octets


def b2a_hex(octets):
    return binascii.b2a_hex(to_bytes(octets)).decode()


def a2b_hex(text):
    return from_bytes(binascii.a2b_hex(text))


class Utf8Validator(Validator):
    def validate(self, octets):
        return Validator.validate(self, to_bytes(octets))
