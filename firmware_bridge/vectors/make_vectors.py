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


def sensor(stream, kind, unit, bits, sensitivity, full_scale, channels, formats, rates, gains):
    """An item of HELLO; the two fractions are given as the four bytes of IEEE 754 binary32, in hexadecimal."""
    fields = le(stream, 1) + le(kind, 1) + le(unit, 1) + le(bits, 1) + bytes.fromhex(sensitivity + full_scale)
    fields += le(channels, 1) + le(formats, 1) + le(len(rates), 1) + le(len(gains), 1)
    value = fields + b"".join(le(rate, 4) for rate in rates) + b"".join(le(gain, 2) for gain in gains)
    return le(6, 1) + le(len(value), 1) + value


def capable(fields):
    """A device that does all there is, with a hydrophone and a three-axis accelerometer."""
    body = hello_body(0xCAFE0002, max_payload=2048, uid=b"\x42", model="é", hardware="B", firmware="2.1.0")
    body["capabilities"] = 0xFF
    body["sensors"] = [
        {
            "stream": 1,
            "kind": 1,
            "unit": 1,
            "adc_bits": 24,
            "sensitivity_v_per_unit": 0.0078125,
            "full_scale_units": 320.0,
            "channels": 1,
            "formats": ["int16", "int24"],
            "rates_millihz": [8000000, 16000000],
            "gains_centidb": [-600, 0, 2000],
        },
        {
            "stream": 2,
            "kind": 2,
            "unit": 2,
            "adc_bits": 16,
            "sensitivity_v_per_unit": 0.0,
            "full_scale_units": 19.5,
            "channels": 3,
            "formats": ["int16"],
            "rates_millihz": [7812500],
            "gains_centidb": [],
        },
    ]
    first = sensor(1, 1, 1, 24, "0000003c", "0000a043", 1, 3, [8000000, 16000000], [-600, 0, 2000])
    second = sensor(2, 2, 2, 16, "00000000", "00009c41", 3, 1, [7812500], [])
    names = b"\x01\x01\x42" + b"\x02\x02\xc3\xa9" + b"\x03\x01B" + b"\x04\x052.1.0"
    return body, fields + names + b"\x05\x04\xff\0\0\0" + first + second, first


def device_vectors():
    """What a device says of itself."""
    boot = {"sequence": 0, "time_us": 1500}
    fields = le(1, 1) + le(1, 1) + le(2048, 2) + le(0xCAFE0002, 4)
    body, payload, first = capable(fields)
    yield (
        "hello_sensors",
        "A device with two sensors that does all there is",
        frame(body, **boot),
        header(1, **boot) + payload,
    )

    later = {**hello_body(0xCAFE0002, max_payload=2048), "capabilities": 0x80000003, "sensors": body["sensors"][:1]}
    longer = le(6, 1) + le(first[1] + 3, 1) + first[2:] + b"abc"
    yield (
        "hello_longer_items",
        "Items of a later revision: capabilities of 6 bytes, bytes after a sensor's gains, an unknown capability",
        {**frame(later), "decode_only": True},
        header(1) + fields + b"\x05\x06\x03\0\0\x80\1\2" + longer,
    )

    at = {"stream": 1, "sequence": 9, "time_us": 140000}
    data = le(-2, 2) + le(7, 2)
    body = {**audio_body(2240, 16000000, "int16", 1, 2000, 12, data), "temperature_centicelsius": -150}
    plain = header(0x10, **at) + audio(2240, 16000000, 2, 1, 1, 2000, 12, data, more=le(0, 2) + le(-150, 2))
    yield "audio_temperature", "At -1.5 °C, gain changed, time valid", frame(body, **at), plain

    body = audio_body(2240, 16000000, "int16", 1, 2000, 0, data)
    plain = header(0x10, **at) + audio(2240, 16000000, 2, 1, 1, 2000, 0, data, more=le(0, 2) + le(0x8000, 2) + b"\3")
    yield (
        "audio_no_temperature",
        "Temperature not measured, and a byte of a later revision before the first sample",
        {**frame(body, **at), "decode_only": True},
        plain,
    )

    at = {"sequence": 77, "time_us": 10000000}
    sensors = [
        {"stream": 1, "adc_overruns": 1, "drops": 320, "clips": 5, "rms": 2**28, "peak": 2**31},
        {"stream": 2, "adc_overruns": 0, "drops": 0, "clips": 0, "rms": 0, "peak": 0},
    ]
    body = {
        "type": "status",
        "battery_mv": 3612,
        "supply_mv": 3300,
        "temperature_centicelsius": -525,
        "humidity_centipercent": 4150,
        "frames_dropped": 3,
        "charge_percent": 87,
        "reset_cause": 3,
        "sensors": sensors,
    }
    blocks = [
        le(1, 4) + le(1, 4) + le(320, 4) + le(5, 4) + le(2**28, 4) + le(2**31, 4),
        le(2, 4) + le(0, 20),
    ]
    measured = le(3612, 2) + le(3300, 2) + le(-525, 2) + le(4150, 2) + le(3, 4) + le(87, 1) + le(3, 1)
    plain = header(0x11, **at) + measured + le(16, 1) + le(24, 1) + b"".join(blocks)
    yield "status", "A device after a watchdog reset, with two sensors", frame(body, **at), plain

    plain = header(0x11, **at) + measured + le(18, 1) + le(25, 1) + b"xy" + b"".join(block + b"z" for block in blocks)
    yield (
        "status_later_fields",
        "Two bytes of a later revision before the sensor blocks, and one in each",
        {**frame(body, **at), "decode_only": True},
        plain,
    )

    body = {
        "type": "status",
        "battery_mv": None,
        "supply_mv": None,
        "temperature_centicelsius": None,
        "humidity_centipercent": None,
        "frames_dropped": 0,
        "charge_percent": None,
        "reset_cause": 0,
        "sensors": [],
    }
    plain = header(0x11) + bytes.fromhex("ffff ffff 0080 ffff 00000000 ff 00 10 18")
    yield "status_nothing_measured", "Nothing is measured", frame(body), plain

    at = {"stream": 1, "sequence": 78, "time_us": 10000100}
    body = {"type": "event", "time_us": 9999000, "number": 2, "event": 2, "begun": True, "value": 0}
    plain = header(0x12, **at) + le(9999000, 8) + le(2, 4) + le(2, 2) + le(1, 1) + le(0, 1) + le(0, 4)
    yield "event_begun", "Water has come in", frame(body, **at), plain

    body = {"type": "event", "time_us": 9999000, "number": 3, "event": 0x8001, "begun": False, "value": -1}
    plain = header(0x12) + le(9999000, 8) + le(3, 4) + le(0x8001, 2) + le(0, 1) + le(0, 1) + le(-1, 4)
    yield "event_ended", "The end of a maker's own event", frame(body), plain

    body = {"type": "log", "level": 2, "text": "ADC late: 3 µs"}
    line = "ADC late: 3 µs".encode()
    yield "log", "A warning", frame(body), header(0x13) + le(2, 1) + le(2, 1) + line

    body = {**body, "level": 200}
    yield (
        "log_later_fields",
        "A level and a byte before the text of a later revision",
        {**frame(body), "decode_only": True},
        header(0x13) + le(200, 1) + le(3, 1) + b"\0" + line,
    )


def request_vectors():
    """What a receiver asks, and what it is answered."""
    to_device = {"sequence": 40}
    sensor_1 = {"stream": 1, "sequence": 41}
    answer = {"sequence": 12, "time_us": 5000600}

    body = {
        "type": "time",
        "receiver_sent_us": 1790000000000000,
        "device_received_us": 0,
        "device_sent_us": 0,
        "utc_offset_us": None,
        "uncertainty_us": None,
    }
    plain = header(2, **to_device) + le(1790000000000000, 8) + le(0, 24) + le(2**32 - 1, 4)
    yield "time_request", "What time is it?", frame(body, **to_device), plain

    body = {
        **body,
        "device_received_us": 5000100,
        "device_sent_us": 5000500,
        "utc_offset_us": 1789999995000000,
        "uncertainty_us": 750,
    }
    stamps = le(1790000000000000, 8) + le(5000100, 8) + le(5000500, 8)
    plain = header(2, **answer) + stamps + le(1789999995000000, 8) + le(750, 4)
    yield "time_answer", "The answer of a device that knows its UTC offset", frame(body, **answer), plain

    body = {"type": "start", "rate_millihz": 16000000, "sample_format": "int16", "count": 320, "gain_centidb": 2000}
    fields = le(16000000, 4) + le(320, 2) + le(2000, 2) + le(1, 1) + le(0, 1)
    yield "start", "16 kHz, int16, 20 ms a frame, 20 dB", frame(body, **sensor_1), header(3, **sensor_1) + fields
    yield (
        "start_later_fields",
        "Bytes of a later revision after the last field",
        {**frame(body, **sensor_1), "decode_only": True},
        header(3, **sensor_1) + fields + b"\1\2\3",
    )

    body = {**body, "sample_format": "float32", "count": 0, "gain_centidb": None}
    plain = header(3, **sensor_1) + le(16000000, 4) + le(0, 2) + le(0x8000, 2) + le(4, 1) + le(0, 1)
    yield "start_device_chooses", "float32, the rest as the device likes it", frame(body, **sensor_1), plain

    yield "stop", "Stop all sensors", frame({"type": "stop"}, **to_device), header(4, **to_device)

    body = {"type": "set", "parameter": 1, "value": -600}
    plain = header(5, **sensor_1) + le(1, 2) + le(0, 2) + le(-600, 4)
    yield "set", "A gain of -6 dB", frame(body, **sensor_1), plain

    body = {"type": "set", "parameter": 0xFFFF, "value": 2**31 - 1}
    plain = header(5, **sensor_1) + le(0xFFFF, 2) + le(0, 2) + le(2**31 - 1, 4)
    yield "set_own_parameter", "A parameter of the maker's own", frame(body, **sensor_1), plain

    yield "selftest", "Test the first sensor", frame({"type": "selftest"}, **sensor_1), header(6, **sensor_1)

    sensor_1 = {**answer, "stream": 1}
    body = {"type": "result", "request_sequence": 41, "request_type": 3, "code": 0, "value": 2**33}
    plain = header(7, **sensor_1) + le(41, 4) + le(3, 1) + le(0, 1) + le(0, 2) + le(2**33, 8)
    yield "result", "A START is granted, from an index above 32 bits on", frame(body, **sensor_1), plain

    body = {"type": "result", "request_sequence": 2**32 - 1, "request_type": 0x30, "code": 1, "value": -1}
    plain = header(7, **answer) + le(2**32 - 1, 4) + le(0x30, 1) + le(1, 1) + le(0, 2) + le(-1, 8)
    yield "result_unknown", "The device knows no firmware update", frame(body, **answer), plain

    body = {"type": 0x30, "payload": "00"}
    yield "firmware_update", "The type kept for firmware updates", frame(body), header(0x30) + b"\0"


def smp_vectors():
    """Packets of another protocol; the numbers in their headers are big-endian."""
    packet = b"\x08\0" + b"\0\x01" + b"\0\x01" + b"\x05\0" + b"\xa0"
    to_device = {"sequence": 60}
    body = {"type": 0x30, "payload": packet.hex()}
    yield "smp", "Which images are there?", frame(body, **to_device), header(0x30, **to_device) + packet

    told = b"\xbf\x63off\x19\x03\xab\xff"
    packet = b"\x0b\0" + bytes([0, len(told)]) + b"\0\x01" + b"\x06\x01" + told
    answer = {"sequence": 91, "time_us": 6000000}
    body = {"type": 0x30, "payload": packet.hex()}
    yield "smp_response", "939 bytes of an image are there", frame(body, **answer), header(0x30, **answer) + packet


def recording_vectors():
    """How a logger is emptied."""
    to_device = {"sequence": 50}
    answer = {"sequence": 90, "time_us": 6000000}

    body = {"type": "rec_list", "from_recording": 7, "recordings": []}
    start = le(7, 4) + le(8, 1) + le(32, 1) + le(0, 2)
    yield (
        "rec_list_request",
        "Which recordings are there, from 7 on?",
        frame(body, **to_device),
        header(0x20, **to_device) + start,
    )

    body["recordings"] = [
        {
            "recording": 7,
            "size": 90000,
            "crc32": 0xC0FFEE00,
            "start_utc_us": 1790000000000000,
            "duration_ms": 2500,
            "state": 0,
        },
        {"recording": 9, "size": 2**40, "crc32": 1, "start_utc_us": None, "duration_ms": 2**32 - 1, "state": 1},
    ]
    entries = [
        le(7, 4) + le(0xC0FFEE00, 4) + le(90000, 8) + le(1790000000000000, 8) + le(2500, 4) + le(0, 4),
        le(9, 4) + le(1, 4) + le(2**40, 8) + le(0, 8) + le(2**32 - 1, 4) + le(1, 4),
    ]
    yield (
        "rec_list",
        "Two, one of them growing",
        frame(body, **answer),
        header(0x20, **answer) + start + b"".join(entries),
    )

    later = le(7, 4) + le(9, 1) + le(34, 1) + le(0, 2) + b"x" + b"".join(entry + b"yz" for entry in entries)
    yield (
        "rec_list_later_fields",
        "One byte of a later revision before the entries, and two in each",
        {**frame(body, **answer), "decode_only": True},
        header(0x20, **answer) + later,
    )

    body = {"type": "rec_read", "recording": 7, "offset": 2**32 + 4000, "length": 65536}
    plain = header(0x21, **to_device) + le(2**32 + 4000, 8) + le(7, 4) + le(65536, 4)
    yield "rec_read", "64 KiB of a long recording", frame(body, **to_device), plain

    body = {"type": "rec_data", "recording": 7, "offset": 2**32 + 4000, "data": "000300"}
    fields = le(2**32 + 4000, 8) + le(7, 4)
    plain = header(0x22, **answer) + fields + le(16, 1) + le(0, 3) + b"\0\3\0"
    yield "rec_data", "Three of its bytes", frame(body, **answer), plain
    plain = header(0x22, **answer) + fields + le(17, 1) + le(0, 3) + b"x" + b"\0\3\0"
    yield (
        "rec_data_later_fields",
        "A byte of a later revision before them",
        {**frame(body, **answer), "decode_only": True},
        plain,
    )

    body = {"type": "rec_erase", "recording": 7, "crc32": 0xC0FFEE00}
    plain = header(0x23, **to_device) + le(7, 4) + le(0xC0FFEE00, 4)
    yield "rec_erase", "It has arrived whole", frame(body, **to_device), plain


def refused_vectors():
    """Payloads that contradict themselves, under a right checksum."""
    bad = {"error": True}
    hello = header(1) + le(1, 1) + le(1, 1) + le(2048, 2) + le(0xCAFE0002, 4)
    good = ["00000000", "00000000"]
    yield "bad_hello_versions", "A highest version below the lowest", bad, header(1) + le(2, 1) + le(1, 1) + le(0, 6)
    yield (
        "bad_hello_payload",
        "HELLO with a maximum payload of 8193",
        bad,
        header(1) + le(257, 2) + le(8193, 2) + le(0, 4),
    )
    yield "bad_hello_capabilities", "HELLO with capabilities of 3 bytes", bad, hello + b"\x05\x03\1\0\0"
    yield (
        "bad_sensor_short",
        "A sensor of 15 bytes",
        bad,
        hello + b"\x06\x0f" + sensor(1, 1, 1, 16, *good, 1, 1, [], [])[2:-1],
    )
    short = sensor(1, 1, 1, 16, *good, 1, 1, [8000000], [0])
    yield "bad_sensor_lists", "A sensor that ends within its gains", bad, hello + b"\x06\x15" + short[2:-1]
    yield "bad_sensor_stream", "A sensor on stream 0", bad, hello + sensor(0, 1, 1, 16, *good, 1, 1, [], [])
    yield "bad_sensor_channels", "A sensor without a channel", bad, hello + sensor(1, 1, 1, 16, *good, 0, 1, [], [])
    yield "bad_sensor_rate", "A sensor of rate 0", bad, hello + sensor(1, 1, 1, 16, *good, 1, 1, [0], [])
    for name, fraction in [("nan", "0000c07f"), ("infinite", "0000807f"), ("negative", "000080bf")]:
        item = sensor(1, 1, 1, 16, fraction, "00000000", 1, 1, [], [])
        yield f"bad_sensor_{name}", f"A sensitivity that is {name}", bad, hello + item
    item = sensor(1, 1, 1, 16, "00000000", "0000c07f", 1, 1, [], [])
    yield "bad_sensor_full_scale", "A full scale that is no number", bad, hello + item

    for name, kind, size in [
        ("time", 2, 36), ("start", 3, 10), ("set", 5, 8), ("result", 7, 16), ("status", 0x11, 16), ("event", 0x12, 20),
        ("log", 0x13, 2), ("rec_list", 0x20, 8), ("rec_read", 0x21, 16), ("rec_data", 0x22, 16), ("rec_erase", 0x23, 8),
    ]:  # fmt: skip
        yield f"bad_{name}_short", "One byte is missing", bad, header(kind) + bytes.fromhex("10" * (size - 1))

    yield "bad_start_rate", "START of rate 0", bad, header(3) + le(0, 4) + le(0, 4) + le(1, 2)
    yield "bad_start_format", "START of format 5", bad, header(3) + le(8000000, 4) + le(0, 4) + le(5, 2)
    status = header(0x11) + le(0, 14)
    yield "bad_status_offset", "Sensor blocks that begin within the fields", bad, status + le(15, 1) + le(24, 1)
    yield "bad_status_end", "Sensor blocks that begin after the end", bad, status + le(17, 1) + le(24, 1)
    yield "bad_status_size", "Sensor blocks of 23 bytes", bad, status + le(16, 1) + le(23, 1) + b"\1" * 23
    yield "bad_status_blocks", "A sensor block cut short", bad, status + le(16, 1) + le(24, 1) + b"\1" * 23
    yield "bad_status_stream", "A sensor block of stream 0", bad, status + le(16, 1) + le(24, 1) + bytes(24)
    yield "bad_status_charge", "A charge of 101 %", bad, header(0x11) + le(0, 12) + le(101, 2) + le(16, 1) + le(24, 1)
    yield "bad_log_offset", "Text that begins within the fields", bad, header(0x13) + le(1, 1) + le(1, 1) + b"a"
    listed = header(0x20) + le(0, 4)
    yield "bad_rec_list_size", "Entries of 0 bytes", bad, listed + le(8, 1) + le(0, 3)
    yield "bad_rec_list_entries", "An entry cut short", bad, listed + le(8, 1) + le(32, 3) + le(1, 31)
    yield "bad_rec_data_empty", "REC_DATA without a byte", bad, header(0x22) + le(0, 12) + le(16, 4)


def first_vectors():
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

    payload = le(41, 4) + le(3, 1) + le(0, 1) + le(0, 2) + le(0, 8)
    body = {"type": 0x07, "payload": payload.hex()}
    yield (
        "for_another",
        "A RESULT that another receiver was given is not interpreted",
        frame(body, flags=0x10, **at),
        header(0x07, flags=0x10, **at) + payload,
    )

    bad = {"error": True}
    short = audio(0, 16000000, 2, 1, 1, 0, 0, le(-2, 2))
    yield "bad_version", "A frame of protocol version 2", bad, header(0x10, version=2) + short
    yield "bad_audio_count", "AUDIO that claims two samples and holds one", bad, header(0x10) + short
    yield "bad_audio_format", "AUDIO of format 9", bad, header(0x10) + audio(0, 1, 1, 9, 1, 0, 0, b"\1\1")
    yield "bad_audio_rate", "AUDIO of rate 0", bad, header(0x10) + audio(0, 0, 1, 1, 1, 0, 0, b"\1\1")
    yield "bad_audio_empty", "AUDIO of no samples", bad, header(0x10) + audio(0, 1, 0, 1, 1, 0, 0, b"")
    yield "bad_audio_channels", "AUDIO of no channels", bad, header(0x10) + audio(0, 1, 1, 1, 0, 0, 0, b"")
    yield "bad_hello_item", "HELLO that ends within an item", bad, header(1) + fields + b"\x02\x09pipe ear"
    yield "bad_short_header", "A header of 15 bytes", bad, header(1)[:15]


def add(name, document):
    path = Path(__file__).with_name(f"{name}.json")
    if not path.exists():
        path.write_text(json.dumps(document, indent=2) + "\n")


for vectors in first_vectors, device_vectors, request_vectors, recording_vectors, smp_vectors, refused_vectors:
    for name, description, content, plain in vectors():
        add(name, {"description": description, **content, "wire": wire(plain).hex()})

good = wire(header(1) + le(1, 1) + le(1, 1) + le(2048, 2) + le(0xCAFE0001, 4))
for name, description, damaged in [
    ("bad_crc", "One bit of the checksum is wrong", good[:-2] + bytes([good[-2] ^ 0x10]) + good[-1:]),
    ("bad_stuffing", "The last block of the byte stuffing is cut short", good[:-2] + good[-1:]),
]:
    add(name, {"description": description, "error": True, "wire": damaged.hex()})
