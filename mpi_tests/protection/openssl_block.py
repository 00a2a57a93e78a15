"""Opens blocks of sealed files by the `openssl` command: nothing here knows how to encrypt.

The command has no authenticated modes. Of AES-GCM it opens the ciphertext as what it is, AES-CTR
counting from 2; the tag is left to python3-cryptography.
"""
import hashlib
import struct
import subprocess

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MODES = {1: "AES-GCM", 2: "AES-CBC", 3: "SM4-CBC"}


def openssl(*arguments, feed=b""):
    return subprocess.run(["openssl", *arguments], input=feed, capture_output=True, check=True).stdout


def derived(key, file_id, mode, purpose):
    size = len(key) if purpose in ("block", "iv") else 32
    text = openssl("kdf", "-keylen", str(size), "-kdfopt", "digest:SHA256", "-kdfopt", f"hexkey:{key.hex()}",
                   "-kdfopt", f"hexsalt:{file_id.hex()}", "-kdfopt", f"info:cairn 1 {mode} {purpose}", "HKDF")
    return bytes.fromhex(text.decode().replace(":", ""))


def hmac_sha256(key, message):
    text = openssl("mac", "-digest", "SHA256", "-macopt", f"hexkey:{key.hex()}", "HMAC", feed=message)
    return bytes.fromhex(text.decode())


def enc(cipher, mode, key, data, *options):
    name = f"-sm4-{mode}" if cipher == "SM4" else f"-aes-{8 * len(key)}-{mode}"
    return openssl("enc", name, "-K", key.hex(), *options, feed=data)


def opened_block(raw, key, k):
    """The bytes of block k of a sealed file; asserts that all its MACs hold."""
    mode = MODES[raw[16]]
    cipher = mode.split("-")[0]
    image_bytes, block_bytes = struct.unpack_from("<QQ", raw, 18)
    file_id, digest, number = raw[34:66], hashlib.sha256(raw[:4096]).digest(), struct.pack("<Q", k)
    tag_bytes = 16 if mode == "AES-GCM" else 32
    begin, = struct.unpack_from("<I", raw, 12)  # of the blocks
    tags = begin + image_bytes  # a multiple of 16
    sealed = raw[begin + k * block_bytes:min(begin + (k + 1) * block_bytes, tags)]
    tag = raw[tags + k * tag_bytes:tags + (k + 1) * tag_bytes]

    assert hmac_sha256(derived(key, file_id, mode, "header"), raw[:4060]) == raw[4060:4092], "header MAC"
    assert hmac_sha256(derived(key, file_id, mode, "table"), digest + raw[tags:-36]) == raw[-36:-4], "table MAC"
    block_key = derived(key, file_id, mode, "block")
    if mode == "AES-GCM":
        nonce = number + bytes(4)
        plain = enc(cipher, "ctr", block_key, sealed, "-d", "-iv", (nonce + bytes([0, 0, 0, 2])).hex())
        assert AESGCM(block_key).decrypt(nonce, sealed + tag, digest + number) == plain, "tag"
        return plain
    iv = enc(cipher, "ecb", derived(key, file_id, mode, "iv"), number + bytes(8), "-nopad")
    assert hmac_sha256(derived(key, file_id, mode, "mac"), digest + number + iv + sealed) == tag, "tag"
    return enc(cipher, "cbc", block_key, sealed, "-d", "-nopad", "-iv", iv.hex())
