#!/usr/bin/env python3
"""Computes the vectors of tests.rs with Python's hmac and the openssl command, to check the Rust code by other code."""
import base64, hashlib, hmac, struct, subprocess

KEY = bytes(range(32))
CALL = b"a84b4c76e66710@pc33.example.com"


def derive(label):
    return hmac.new(KEY, label, hashlib.sha256).digest()


def seal(purpose, payload, family=0, call=b""):
    header = bytes([purpose << 2 | family << 1])
    text = header + struct.pack(">I", len(payload)) + payload + call
    mac = hmac.new(derive(b"causeway token mac"), text, hashlib.sha256).digest()[:8]
    stream = ["openssl", "enc", "-aes-128-ctr", "-K", derive(b"causeway token stream")[:16].hex()]
    secret = subprocess.run(stream + ["-iv", mac.hex() + "00" * 8], input=payload, capture_output=True, check=True)
    return base64.urlsafe_b64encode(header + mac + secret.stdout).decode().rstrip("=")


hop = bytes([2]) + struct.pack(">H", 0x0107)
v4 = hop + bytes([203, 0, 113, 9]) + struct.pack(">H", 40000)
v6 = hop + bytes.fromhex("20010db8000000000000000000000007") + struct.pack(">H", 5060)
connection = hop + bytes.fromhex("123456789abc")
media = bytes([3, 1 << 4])
offer = bytes([3, 1 << 4 | 4])
for text in [
    seal(0, v4),
    seal(0, v6, 1),
    seal(0, connection, 1),
    seal(1, media + b"dev1" + v4, 0, CALL),
    seal(1, media + b"dev1" + v6, 1, CALL),
    seal(2, media, 0, CALL),
    seal(2, media + b"dev1" + connection, 1, CALL),
    seal(2, media + b"dev2", 0, CALL),
    seal(2, media + b"dev2" + b"dev1" + v6, 1, CALL),
    seal(3, offer + b"branched" + v4, 0, CALL),
    seal(4, b"\0sip:alice@[2001:db8::9]:5060;transport=tcp"),
]:
    print(text)
