#!/usr/bin/python3
"""Makes seal_vectors.json, and seals images: a writer of docs/format.md without Cairn.

Nothing is shared with scripts/read_sealed.py, so that each of the two tests the other. Keys, file
ids and plaintexts follow simple rules, so that a run today gives the file that is in the tree:

    make_seal_vectors.py | cmp - seal_vectors.json

Needs python3-cryptography.
"""
import hashlib
import json
import struct
import sys
import zlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MODES = {"AES-GCM": 1, "AES-CBC": 2, "SM4-CBC": 3}


def hmac_sha256(key, message):
    mac = HMAC(key, hashes.SHA256())
    mac.update(message)
    return mac.finalize()


class Sealer:
    """Seals the blocks of one file: `header` is as docs/format.md has it, without MAC and CRC."""

    def __init__(self, mode, key, file_id, header):
        assert len(header) == 4060 and header[16] == MODES[mode] and header[34:66] == file_id
        self.mode = mode
        self.cipher = algorithms.SM4 if mode == "SM4-CBC" else algorithms.AES
        sizes = {"block": len(key), "iv": len(key), "mac": 32, "header": 32, "table": 32}
        self.keys = {
            purpose: HKDF(hashes.SHA256(), size, file_id, f"cairn 1 {mode} {purpose}".encode()).derive(key)
            for purpose, size in sizes.items()}
        self.header = header + hmac_sha256(self.keys["header"], header)
        self.header += struct.pack("<I", zlib.crc32(self.header))
        self.digest = hashlib.sha256(self.header).digest()

    def iv(self, number):
        """The nonce of AES-GCM, the IV of the other modes."""
        if self.mode == "AES-GCM":
            return struct.pack("<QI", number, 0)
        return Cipher(self.cipher(self.keys["iv"]), modes.ECB()).encryptor().update(struct.pack("<QQ", number, 0))

    def block(self, number, plain):
        """Ciphertext and tag."""
        iv, k = self.iv(number), struct.pack("<Q", number)
        mode = modes.GCM(iv) if self.mode == "AES-GCM" else modes.CBC(iv)
        encryptor = Cipher(self.cipher(self.keys["block"]), mode).encryptor()
        if self.mode == "AES-GCM":
            encryptor.authenticate_additional_data(self.digest + k)
        sealed = encryptor.update(plain) + encryptor.finalize()
        if self.mode == "AES-GCM":
            return sealed, encryptor.tag
        return sealed, hmac_sha256(self.keys["mac"], self.digest + k + iv + sealed)

    def table(self, tags):
        """What stands behind the blocks."""
        table = b"".join(tags)
        table += hmac_sha256(self.keys["table"], self.digest + table)
        return table + struct.pack("<I", zlib.crc32(table))


def header_of(mode, file_id, *, kind=0, image_bytes, block_bytes, run_id=bytes(16), step=1, epoch=1,
              step_in_epoch=1, steps_per_epoch=0, sequence=1, saved_at=0, series=b"", shard=0, shards=0,
              features=b"", blocks_begin=4096):
    minor = 1 if blocks_begin == 4096 else 4
    header = struct.pack("<8sHHIBBQQ32s16sQQQQQq256sQQQ256s", b"CAIRNENC", 1, minor, blocks_begin, MODES[mode], kind,
                         image_bytes, block_bytes, file_id, run_id, step, epoch, step_in_epoch,
                         steps_per_epoch, sequence, saved_at, series, shard, shards, 0, features)
    return header + bytes(4060 - len(header))


def seal(image, mode, key, file_id, shard=0, shards=0, **changed):
    """A sealed file of an image, with what its record tells."""
    record = image[-4096:]
    fields = dict(
        kind=record[984], image_bytes=len(image), block_bytes=struct.unpack_from("<Q", record, 24)[0],
        run_id=record[136:152], series=record[152:408], shard=shard, shards=shards)
    names = ("step", "epoch", "step_in_epoch", "steps_per_epoch", "sequence", "saved_at")
    fields.update(zip(names, struct.unpack_from("<QQQQQq", record, 88)))
    fields.update(changed)
    sealer = Sealer(mode, key, file_id, header_of(mode, file_id, **fields))
    padded = image + bytes(-len(image) % 16)
    blocks = [sealer.block(k, padded[begin:begin + fields["block_bytes"]])
              for k, begin in enumerate(range(0, len(padded), fields["block_bytes"]))]
    gap = bytes(fields.get("blocks_begin", 4096) - 4096)
    return sealer.header + gap + b"".join(b for b, _ in blocks) + sealer.table([tag for _, tag in blocks])


# ---- the vectors -------------------------------------------------------------------------------

# From the standards themselves, not computed here.
HKDF_VECTORS = [
    {"source": "RFC 5869, A.1", "key": "0b" * 22, "salt": "000102030405060708090a0b0c",
     "info": "f0f1f2f3f4f5f6f7f8f9",
     "output": "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
    {"source": "RFC 5869, A.2", "key": bytes(range(0x50)).hex(), "salt": bytes(range(0x60, 0xb0)).hex(),
     "info": bytes(range(0xb0, 0x100)).hex(),
     "output": "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
               "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
    {"source": "RFC 5869, A.3", "key": "0b" * 22, "salt": "", "info": "",
     "output": "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
]
GCM_PLAIN = ("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
             "b16aedf5aa0de657ba637b39")
GCM_KEY = "feffe9928665731c6d6a8f9467308308"
CBC_PLAIN = ("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52ef"
             "f69f2445df4f9b17ad2b417be66c3710")
SM4_KEY = "0123456789abcdeffedcba9876543210"
CIPHER_VECTORS = [
    {"source": "McGrew and Viega, The Galois/Counter Mode of Operation, test case 4", "cipher": "AES-GCM",
     "key": GCM_KEY, "iv": "cafebabefacedbaddecaf888", "aad": "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "plain": GCM_PLAIN, "sealed": "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466"
     "931c7d8f6a5aac84aa051ba30b396a0aac973d58e091", "tag": "5bc94fbc3221a5db94fae95ae7121a47"},
    {"source": "the same, test case 10", "cipher": "AES-GCM",
     "key": GCM_KEY + "feffe9928665731c", "iv": "cafebabefacedbaddecaf888",
     "aad": "feedfacedeadbeeffeedfacedeadbeefabaddad2", "plain": GCM_PLAIN,
     "sealed": "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f47"
     "18e2448b2fe324d9ccda2710", "tag": "2519498e80f1478f37ba55bd6d27618c"},
    {"source": "the same, test case 16", "cipher": "AES-GCM",
     "key": GCM_KEY * 2, "iv": "cafebabefacedbaddecaf888", "aad": "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "plain": GCM_PLAIN, "sealed": "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590d"
     "bb3da7b08b1056828838c5f61e6393ba7a0abcc9f662", "tag": "76fc6ece0f4e1768cddf8853bb2d551b"},
    {"source": "NIST SP 800-38A, F.2.1", "cipher": "AES-CBC", "key": "2b7e151628aed2a6abf7158809cf4f3c",
     "iv": bytes(range(16)).hex(), "plain": CBC_PLAIN,
     "sealed": "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e22229516"
     "3ff1caa1681fac09120eca307586e1a7"},
    {"source": "NIST SP 800-38A, F.2.3", "cipher": "AES-CBC",
     "key": "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "iv": bytes(range(16)).hex(), "plain": CBC_PLAIN,
     "sealed": "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e0"
     "08b0e27988598881d920a9e64f5615cd"},
    {"source": "NIST SP 800-38A, F.2.5", "cipher": "AES-CBC",
     "key": "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "iv": bytes(range(16)).hex(),
     "plain": CBC_PLAIN,
     "sealed": "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461"
     "b2eb05e2c39be9fcda6c19078c6a9d1b"},
    {"source": "GB/T 32907-2016, A.1 (one block: CBC with a zero IV)", "cipher": "SM4-CBC", "key": SM4_KEY,
     "iv": bytes(16).hex(), "plain": SM4_KEY, "sealed": "681edf34d206965e86b3e94f536e4246"},
    {"source": "draft-ribose-cfrg-sm4-10, A.2.2.1", "cipher": "SM4-CBC", "key": SM4_KEY,
     "iv": bytes(range(16)).hex(), "plain": "aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffaaaaaaaabbbbbbbb",
     "sealed": "78ebb11cc40b0a48312aaeb2040244cb4cb7016951909226979b0d15dc6a8f6d"},
]
CRC_VECTORS = [  # of texts; the first is the check value that catalogues of CRCs give
    {"text": "123456789", "crc": 0xcbf43926}, {"text": "", "crc": 0}, {"text": "a", "crc": 0xe8b7be43},
    {"text": "abc", "crc": 0x352441c2},
    {"text": "The quick brown fox jumps over the lazy dog", "crc": 0x414fa339},
]
# Bytes of the first and the second part: "1" or "2", then zeros.
COMBINED = [(0, 0), (0, 1), (1, 0), (1, 1), (5, 65536), (65536, 65536), (3, (1 << 32) + 17)]
RULE = "byte i of block k: (7 i i + 13 i + 31 k) / 4 mod 256, rounded down"
BLOCKS = ((0, 16), (1, 4096), ((1 << 40) + 3, 48))


def plain_of(number, size):
    return bytes((7 * i * i + 13 * i + 31 * number) // 4 % 256 for i in range(size))


def crc_of(mark, size, crc=0):
    """Goes on from `crc` with `mark`, then zeros: `size` bytes in all."""
    piece, zeros = mark, bytes(1 << 24)
    while size:
        piece = piece[:size]
        crc, size, piece = zlib.crc32(piece, crc), size - len(piece), zeros
    return crc


def combined(first_bytes, second_bytes):
    first = crc_of(b"1", first_bytes)
    return {"first": first, "second": crc_of(b"2", second_bytes), "second_bytes": second_bytes,
            "both": crc_of(b"2", second_bytes, first)}


def seal_vector(mode, key_bytes):
    key = hashlib.sha256(f"key of {key_bytes} bytes for {mode}".encode()).digest()[:key_bytes]
    file_id = hashlib.sha256(f"file of {mode} {key_bytes}".encode()).digest()
    fields = dict(image_bytes=2 * 65536 + 2 * 16 + 4096, block_bytes=65536, run_id=bytes(range(16)), step=250,
                  epoch=3, step_in_epoch=50, steps_per_epoch=100, sequence=7, saved_at=1700000000250000000,
                  series="r\u00e9sum\u00e9".encode(), shard=2, shards=5)
    sealer = Sealer(mode, key, file_id, header_of(mode, file_id, **fields))
    blocks, tags = [], []
    for number, size in BLOCKS:
        plain = plain_of(number, size)
        sealed, tag = sealer.block(number, plain)
        tags.append(tag)
        blocks.append({"number": number, "bytes": size, "plain_begins": plain[:16].hex(),
                       "iv": sealer.iv(number).hex(), "sealed": sealed.hex(), "tag": tag.hex()})
    header = sealer.header
    fields.update(run_id=fields["run_id"].hex(), series=fields["series"].decode())
    return {
        "mode": mode, "key": key.hex(), "file_id": file_id.hex(),
        "keys": {purpose: derived.hex() for purpose, derived in sealer.keys.items()},
        "header": {"tells": fields, "begin": header[:666].hex(), "mac": header[4060:4092].hex(),
                   "crc": struct.unpack("<I", header[4092:])[0]},
        "D": sealer.digest.hex(), "blocks": blocks,
        "table_mac": sealer.table(tags)[-36:-4].hex(), "table_crc": struct.unpack("<I", sealer.table(tags)[-4:])[0]}


def main():
    vectors = {
        "about": "made by make_seal_vectors.py, beside this file; bytes in hexadecimal digits. A header is "
                 "`begin`, zeros up to 4060, `mac` and `crc` (little endian); the table has the tags of `blocks`.",
        "plain_rule": RULE, "hkdf": HKDF_VECTORS, "ciphers": CIPHER_VECTORS, "crc32": CRC_VECTORS,
        "crc32_combine": [combined(*sizes) for sizes in COMBINED],
        "seals": [seal_vector(mode, size) for mode in ("AES-GCM", "AES-CBC") for size in (16, 24, 32)]
        + [seal_vector("SM4-CBC", 16)]}
    json.dump(vectors, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
