"""Makes the golden vectors: an implementation of PROTOCOL.md that shares no code with any other.

``python make_vectors.py`` writes the vectors that are not there yet. A vector is never edited, only added.
"""

import json
from pathlib import Path

FRACTIONS = [0.0, 0.5, -0.5, -1.0]


def crc32(data):
    """Bit by bit: reflected polynomial 0xEDB88320, register and result inverted."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def cobs(data):
    """Each zero becomes the distance to the next one; a run of 254 bytes without a zero is cut off."""
    blocks = []
    for run in data.split(b"\0"):
        full = len(run) // 254
        blocks += [run[254 * i : 254 * (i + 1)] for i in range(full)]
        # The cut after a full run stands for no zero: without a rest the zero needs a block of its own.
        blocks.append(run[254 * full :])
    if len(blocks) > 1 and not blocks[-1] and len(blocks[-2]) == 254:
        blocks.pop()  # the data ends with a full run, and no zero is due after it
    return b"".join(bytes([len(block) + 1]) + block for block in blocks)


def le(value, size):
    """Little-endian, two's complement."""
    return (value % 256**size).to_bytes(size, "little")


def wire(plain):
    return cobs(plain + le(crc32(plain), 4)) + b"\0"


def header(kind, *, version=1, flags=0, stream=0, sequence=0, time_us=0):
    return le(version, 1) + le(kind, 1) + le(flags, 1) + le(stream, 1) + le(sequence, 4) + le(time_us, 8)


def audio(index, millihz, count, code, channels, gain, flags, data, more=b""):
    fields = le(index, 8) + le(millihz, 4) + le(count, 2) + le(code, 1) + le(channels, 1) + le(gain, 2)
    return fields + le(flags, 1) + le(20 + len(more), 1) + more + data


def audio_body(index, millihz, name, channels, gain, flags, data):
    return {
        "type": "audio",
        "sample_index": index,
        "rate_millihz": millihz,
        "format": name,
        "channels": channels,
        "gain_centidb": gain,
        "flags": flags,
        "data": data.hex(),
    }


def frame(body, *, flags=0, stream=0, sequence=0, time_us=0):
    head = {"flags": flags, "stream": stream, "sequence": sequence, "device_time_us": time_us}
    return {"frame": {**head, "body": body}}


def hello_body(boot_id, low=1, high=1, max_payload=8192, uid=b"", model="", hardware="", firmware=""):
    return {
        "type": "hello",
        "boot_id": boot_id,
        "protocol_min": low,
        "protocol_max": high,
        "max_payload": max_payload,
        "uid": uid.hex(),
        "model": model,
        "hardware": hardware,
        "firmware": firmware,
    }


def vectors():
    at = {"stream": 1, "sequence": 7, "time_us": 120000}

    fields = le(1, 1) + le(1, 1) + le(2048, 2) + le(0xCAFE0001, 4)
    uid = bytes.fromhex("0123456789abcdef00112233")
    body = hello_body(0xCAFE0001, max_payload=2048, uid=uid, model="pipe ear")
    items = b"\x01\x0c" + uid + b"\x02\x08pipe ear"
    yield "hello", "A device with a 96-bit unique number and a model name", frame(body), header(1) + fields + items

    yield (
        "hello_unknown_item",
        "An item with a tag of a later revision, 200, is skipped",
        {**frame(body), "decode_only": True},
        header(1) + fields + b"\x01\x0c" + uid + b"\xc8\x03abc" + b"\x02\x08pipe ear",
    )

    data = b"".join(le(int(x * 2**15), 2) for x in FRACTIONS)
    body = audio_body(1920, 16000000, "int16", 1, 2000, 0, data)
    samples = {"samples": [[x] for x in FRACTIONS]}
    plain = header(0x10, **at) + audio(1920, 16000000, 4, 1, 1, 2000, 0, data)
    yield "audio_int16", "Four samples at 16 kHz behind a gain of 20 dB", {**frame(body, **at), **samples}, plain

    data = b"".join(le(int(x * 2**23), 3) for x in FRACTIONS)
    body = audio_body(2**32 + 1, 7812500, "int24", 2, -600, 3, data)
    samples = {"samples": [FRACTIONS[:2], FRACTIONS[2:]]}
    plain = header(0x10, **at) + audio(2**32 + 1, 7812500, 2, 2, 2, -600, 3, data)
    yield (
        "audio_int24_stereo",
        "Two channels at 7812.5 Hz, clipped and after a gap, index above 32 bits",
        {**frame(body, **at), **samples},
        plain,
    )

    data = b"".join(le(int(x * 2**31), 4) for x in FRACTIONS)
    body = audio_body(0, 48000000, "int32", 1, 0, 0, data)
    samples = {"samples": [[x] for x in FRACTIONS]}
    plain = header(0x10, **at) + audio(0, 48000000, 4, 3, 1, 0, 0, data)
    yield "audio_int32", "Four 32-bit samples at 48 kHz", {**frame(body, **at), **samples}, plain

    data = bytes.fromhex("00000000 0000003f 000000bf 000080bf")  # the same four fractions, IEEE 754 binary32
    body = audio_body(0, 8000000, "float32", 1, 0, 0, data)
    plain = header(0x10, **at) + audio(0, 8000000, 4, 4, 1, 0, 0, data)
    yield "audio_float32", "Four floating-point samples at 8 kHz", {**frame(body, **at), **samples}, plain

    data = b"\x7f" * 508  # with what stands before and after, runs of more than 254 bytes without a zero
    body = audio_body(0, 16000000, "int16", 1, 0, 0, data)
    plain = header(0x10, **at) + audio(0, 16000000, 254, 1, 1, 0, 0, data)
    yield "audio_long_runs", "Runs longer than one block of the byte stuffing", frame(body, **at), plain

    data = b"\0\0" * 100
    body = audio_body(0, 16000000, "int16", 1, 0, 0, data)
    plain = header(0x10, **at) + audio(0, 16000000, 100, 1, 1, 0, 0, data)
    yield "audio_silence", "Nothing but zeros in the samples", frame(body, **at), plain

    data = le(-2, 2)
    body = audio_body(5, 16000000, "int16", 1, 0, 0, data)
    plain = header(0x10, **at) + audio(5, 16000000, 1, 1, 1, 0, 0, data, more=b"\x2a\x2b")
    yield (
        "audio_later_fields",
        "Two bytes of a later revision before the first sample are skipped",
        {**frame(body, **at), "decode_only": True},
        plain,
    )

    body = {"type": 0x7F, "payload": "c0ffee"}
    wrap = {"stream": 255, "sequence": 2**32 - 1, "time_us": 2**64 - 1}
    plain = header(0x7F, **wrap) + bytes.fromhex("c0ffee")
    yield "unknown_type", "A type of a later revision; all counters at their end", frame(body, **wrap), plain

    body = {"type": 0x10, "payload": "00"}
    plain = header(0x10, flags=0x80, **at) + b"\0"
    yield (
        "must_understand",
        "AUDIO under an unknown flag of the high nibble is not interpreted",
        frame(body, flags=0x80, **at),
        plain,
    )

    body = audio_body(0, 16000000, "int16", 1, 0, 0, le(-2, 2))
    plain = header(0x10, flags=0x01, **at) + audio(0, 16000000, 1, 1, 1, 0, 0, le(-2, 2))
    yield "may_ignore", "AUDIO under an unknown flag of the low nibble", frame(body, flags=0x01, **at), plain

    bad = {"error": True}
    short = audio(0, 16000000, 2, 1, 1, 0, 0, le(-2, 2))
    yield "bad_version", "A frame of protocol version 2", bad, header(0x10, version=2) + short
    yield "bad_audio_count", "AUDIO that claims two samples and holds one", bad, header(0x10) + short
    yield "bad_audio_format", "AUDIO of format 9", bad, header(0x10) + audio(0, 1, 1, 9, 1, 0, 0, b"\1\1")
    yield "bad_audio_rate", "AUDIO of rate 0", bad, header(0x10) + audio(0, 0, 1, 1, 1, 0, 0, b"\1\1")
    yield "bad_hello_item", "HELLO that ends within an item", bad, header(1) + fields + b"\x02\x09pipe ear"
    yield "bad_short_header", "A header of 15 bytes", bad, header(1)[:15]


def add(name, document):
    path = Path(__file__).with_name(f"{name}.json")
    if not path.exists():
        path.write_text(json.dumps(document, indent=2) + "\n")


for name, description, content, plain in vectors():
    add(name, {"description": description, **content, "wire": wire(plain).hex()})

good = wire(header(1) + le(1, 1) + le(1, 1) + le(2048, 2) + le(0xCAFE0001, 4))
for name, description, damaged in [
    ("bad_crc", "One bit of the checksum is wrong", good[:-2] + bytes([good[-2] ^ 0x10]) + good[-1:]),
    ("bad_stuffing", "The last block of the byte stuffing is cut short", good[:-2] + good[-1:]),
]:
    add(name, {"description": description, "error": True, "wire": damaged.hex()})
