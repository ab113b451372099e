"""Writes the golden vectors as C: their bytes, and for each a function that encodes it and one that checks it decoded.

``python vectors_to_c.py FOLDER > vectors.h``
"""

import json
import sys
from pathlib import Path

TYPES = {
    "hello": 0x01, "time": 0x02, "start": 0x03, "stop": 0x04, "set": 0x05, "selftest": 0x06, "result": 0x07,
    "audio": 0x10, "status": 0x11, "event": 0x12, "log": 0x13,
    "rec_list": 0x20, "rec_read": 0x21, "rec_data": 0x22, "rec_erase": 0x23,
}  # fmt: skip
FORMATS = {"int16": 1, "int24": 2, "int32": 3, "float32": 4}
ITEMS = {"uid": 1, "model": 2, "hardware": 3, "firmware": 4}
# What stands for null in a field; in others it is 0.
ABSENT = {
    "uncertainty_us": 2**32 - 1,
    "gain_centidb": -(2**15),
    "temperature_centicelsius": -(2**15),
    "battery_mv": 2**16 - 1,
    "supply_mv": 2**16 - 1,
    "humidity_centipercent": 2**16 - 1,
    "charge_percent": 2**8 - 1,
}
WIDE = {"receiver_sent_us", "device_received_us", "device_sent_us", "sample_index", "time_us", "size", "offset"}
WIDE |= {"start_utc_us", "device_time_us"}


def number(name, value):
    if value is None:
        value = ABSENT.get(name, 0)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value!r}F"
    if name in {"utc_offset_us", "value"}:
        return f"INT64_C({value})" if abs(value) > 2**31 - 1 else str(value)
    if value < 0:
        return f"({value})"
    return f"UINT64_C({value})" if name in WIDE else f"{value}U"


def literal(data):
    """C bytes; a literal that is never empty, since C has no empty array."""
    return "(const uint8_t[]){" + ", ".join(f"0x{byte:02x}" for byte in data or b"\0") + "}"


def fields(values):
    """Initialisers and checks of plain fields."""
    pairs = [(name, number(name, value)) for name, value in values.items()]
    return ", ".join(f".{name} = {value}" for name, value in pairs), [f"got.{name} == {value}" for name, value in pairs]


def checks(conditions):
    return [f"CHECK({condition});" for condition in conditions]


def plain(kind, values):
    initial, conditions = fields(values)
    put = [f"const hb_{kind} sent = {{{initial}}};", f"hb_put_{kind}(e, &sent);"]
    return put, [f"hb_{kind} got;", f"CHECK(hb_get_{kind}(f, &got));", *checks(conditions)]


def spanned(kind, name, data, values):
    """A payload whose last field is a run of bytes."""
    initial, conditions = fields(values)
    put = [
        f"const hb_{kind} sent = {{{initial}, .{name} = {{{literal(data)}, {len(data)}U}}}};",
        f"hb_put_{kind}(e, &sent);",
    ]
    same = f"same(got.{name}, {literal(data)}, {len(data)}U)"
    return put, [f"hb_{kind} got;", f"CHECK(hb_get_{kind}(f, &got));", *checks([*conditions, same])]


def blocks(block, entries):
    """Calls for the blocks at the end of a payload."""
    put, get = [], []
    for index, entry in enumerate(entries):
        initial, conditions = fields(entry)
        put.append(f"{{ const hb_{block} sent = {{{initial}}}; hb_put_{block}(e, &sent); }}")
        get.append(f"{{ hb_{block} got; CHECK(hb_get_{block}(f, {index}U, &got)); {' '.join(checks(conditions))} }}")
    get.append(f"{{ hb_{block} got; CHECK(!hb_get_{block}(f, {len(entries)}U, &got)); }}")
    return put, get


def hello(body):
    names = {"uid": bytes.fromhex(body.pop("uid"))}
    names |= {name: body.pop(name).encode() for name in ("model", "hardware", "firmware")}
    capabilities, sensors = body.pop("capabilities", 0), body.pop("sensors", [])
    put, get = plain("hello", body)
    get += ["uint32_t at = 0U;", "hb_item item;"]
    for name, value in names.items():
        if value:
            put.append(f"hb_put_item(e, {ITEMS[name]}U, {literal(value)}, {len(value)}U);")
            get.append(f"CHECK(next_known(f, &at, &item) && (item.tag == {ITEMS[name]}U));")
            get.append(f"CHECK(same(item.value, {literal(value)}, {len(value)}U));")
    if capabilities:
        put.append(f"hb_put_capabilities(e, {capabilities}U);")
        get.append(f"CHECK(next_known(f, &at, &item) && (hb_get_capabilities(&item) == {capabilities}U));")
    for sensor in sensors:
        rates, gains = sensor.pop("rates_millihz"), sensor.pop("gains_centidb")
        sensor["formats"] = sum(1 << (FORMATS[name] - 1) for name in sensor["formats"])
        initial, conditions = fields({**sensor, "rates": len(rates), "gains": len(gains)})
        lists = "".join(f"{value}U, " for value in rates), "".join(f"{value}, " for value in gains or [0])
        put.append(
            f"{{ const hb_sensor sent = {{{initial}}}; "
            f"hb_put_sensor(e, &sent, (const uint32_t[]){{{lists[0]}}}, (const int16_t[]){{{lists[1]}}}); }}"
        )
        conditions += [f"hb_get_rate(&item, {index}U) == {value}U" for index, value in enumerate(rates)]
        conditions += [f"hb_get_gain(&item, {index}U) == ({value})" for index, value in enumerate(gains)]
        get.append("CHECK(next_known(f, &at, &item));")
        get.append(f"{{ hb_sensor got; CHECK(hb_get_sensor(&item, &got)); {' '.join(checks(conditions))} }}")
    return put, [*get, "CHECK(!next_known(f, &at, &item));"]


def audio(body):
    data = bytes.fromhex(body.pop("data"))
    body["format"] = FORMATS[body["format"]]
    body["count"] = len(data) // body["channels"] // {1: 2, 2: 3}.get(body["format"], 4)
    body.setdefault("temperature_centicelsius", None)
    initial, conditions = fields(body)
    put = [f"const hb_audio sent = {{{initial}, .samples = {literal(data)}}};", "hb_put_audio(e, &sent);"]
    same = f"same((hb_span){{got.samples, {len(data)}U}}, {literal(data)}, {len(data)}U)"
    return put, ["hb_audio got;", "CHECK(hb_get_audio(f, &got));", *checks([*conditions, same])]


def code(kind, body):
    """Statements that put a payload and those that check it."""
    match kind:
        case "hello":
            return hello(body)
        case "audio":
            return audio(body)
        case "start":
            return plain(kind, {**{k: v for k, v in body.items() if k != "sample_format"},
                                "format": FORMATS[body["sample_format"]]})  # fmt: skip
        case "stop" | "selftest":
            return [], []
        case "log":
            return spanned(kind, "text", body.pop("text").encode(), body)
        case "rec_data":
            return spanned(kind, "data", bytes.fromhex(body.pop("data")), body)
        case "status":
            sensors = body.pop("sensors")
            put, get = plain(kind, body)
            more_put, more_get = blocks("sensor_status", sensors)
            return put + more_put, get + more_get
        case "rec_list":
            start = f"{body['from_recording']}U"
            more_put, more_get = blocks("recording", body["recordings"])
            get = ["uint32_t from;", f"CHECK(hb_get_rec_list(f, &from) && (from == {start}));"]
            return [f"hb_put_rec_list(e, {start});", *more_put], get + more_get
        case str():
            return plain(kind, body)
    data = bytes.fromhex(body["payload"])
    same = f"same((hb_span){{f->payload, f->size}}, {literal(data)}, {len(data)}U)"
    return [f"hb_put(e, {literal(data)}, {len(data)}U);"], checks([same])


def function(result, name, argument, statements):
    unused = [] if statements else [f"(void){argument.split('*')[1]};"]
    body = "\n".join(f"    {statement}" for statement in [*statements, *unused])
    return f"static {result} {name}({argument})\n{{\n{body}\n}}\n"


def main(folder):
    print("/* Made by vectors_to_c.py from the golden vectors. */\n")
    table = []
    for path in sorted(Path(folder).glob("*.json")):
        vector, name = json.loads(path.read_text()), path.stem
        wire = bytes.fromhex(vector["wire"])
        print(f"static const uint8_t wire_{name}[] = {{{', '.join(map(str, wire))}}};")
        if "error" in vector:
            table.append(f'{{"{name}", wire_{name}, {len(wire)}U, {{0}}, NULL, NULL}}')
            continue
        header = vector["frame"]
        body = header.pop("body")
        kind = body.pop("type")
        header["type"] = TYPES.get(kind, kind)
        put, get = code(kind, body)
        print(function("void", f"check_{name}", "const hb_frame *f", get))
        encode = "NULL"
        if not vector.get("decode_only"):
            print(function("void", f"put_{name}", "hb_encoder *e", put))
            encode = f"put_{name}"
        table.append(f'{{"{name}", wire_{name}, {len(wire)}U, {{{fields(header)[0]}}}, {encode}, check_{name}}}')
    print("static const vector vectors[] = {\n    " + ",\n    ".join(table) + "};")


main(sys.argv[1])
