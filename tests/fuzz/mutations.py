"""Damage that keeps a format's structure: what is changed inside has right lengths and checksums around it.

A flipped byte mostly ends at the first checksum or length. A stranger writes these, too, so the mutations do.
"""

import io
import json
import pickletools
import re
import struct
import zipfile

import google_crc32c

NUMBERS = (
    *(0, 1, 2, 3, 5, 7, 8, 64, 127, 128, 255, 256, 1000, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53),
    *(2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**6),
)
WORDS = (
    "",
    "a",
    "..",
    "/etc/passwd",
    "state_dict",
    "weight",
    "Conv",
    "\0",
    "é" * 20,
    "x" * 1000,
    "1",
    "-1",
    "nan",
    "inf",
)
VALUES = (
    *(None, True, False, 0, -1, 1, 2, 1000, 2**31, 2**63, 2**64, 10**30, 0.5, -1.5, 1e308, [], {}, [[]], [0], [-1]),
    *([1, 2, 3, 4, 5], ["a"], {"a": 1}, "", "x", "relu", "x" * 3000, [[[[[[[[[[]]]]]]]]]], [1] * 500),
)


def mutate_bytes(data, rng):
    """A few changes anywhere: bits, numbers, pieces that are left out, doubled, moved or cut."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not out:
            return b""
        place = rng.randrange(len(out))
        length = rng.choice((1, 2, 4, 8, 30, 200))
        match rng.randrange(8):
            case 0 | 1:
                out[place] ^= 1 << rng.randrange(8)
            case 2:
                out[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 3:
                layout = rng.choice(("<H", "<I", "<Q", ">I", ">Q"))
                number = rng.choice(NUMBERS) % 2 ** (8 * struct.calcsize(layout))
                out[place : place + struct.calcsize(layout)] = struct.pack(layout, number)
            case 4:
                del out[place : place + length]
            case 5:
                out[place:place] = out[place : place + length] * rng.choice((1, 1, 3, 50))
            case 6:
                other = rng.randrange(len(out))
                out[place : place + length] = out[other : other + length]
            case 7:
                del out[place:]
    return bytes(out)


def mutate_json(data, rng):
    """One or several values, keys or items of a JSON text."""
    try:
        tree = json.loads(data)
    except ValueError:
        return mutate_bytes(data, rng)
    for _ in range(rng.choice((1, 1, 2, 5))):
        places = [(tree_of, key) for tree_of, key in _places({"": tree}) if key != ""] or [({"": tree}, "")]
        holder, key = rng.choice(places)
        match rng.randrange(6):
            case 0 | 1 | 2:
                holder[key] = json.loads(json.dumps(rng.choice(VALUES)))  # a copy: the next change may be inside
            case 3:
                other, name = rng.choice(places)
                holder[key] = json.loads(json.dumps(other[name])) if name in _keys(other) else None
            case 4:
                del holder[key]
            case 5 if isinstance(holder, dict):
                holder[rng.choice(WORDS)] = holder.pop(key)
    text = json.dumps(tree).encode()
    return text if rng.random() < 0.95 else mutate_bytes(text, rng)


def _places(node):
    left = [node]
    while left:
        node = left.pop()
        for key in _keys(node):
            yield node, key
            if isinstance(node[key], dict | list):
                left.append(node[key])


def _keys(node):
    return list(node) if isinstance(node, dict) else range(len(node))


def varint(number):
    out = bytearray()
    number %= 2**64
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _read_varint(data, place):
    value = 0
    for index, byte in enumerate(data[place : place + 10]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, place + index + 1
    raise ValueError("no number")


def read_message(data):
    """The fields of a message: `(number, wire type, value)`."""
    fields, place = [], 0
    while place < len(data):
        tag, place = _read_varint(data, place)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, place = _read_varint(data, place)
        elif wire == 2:
            length, place = _read_varint(data, place)
            value = data[place : place + length]
            place += length
        elif wire in (1, 5):
            width = 8 if wire == 1 else 4
            value = data[place : place + width]
            place += width
        else:
            raise ValueError("no wire type")
        if place > len(data) or not number:
            raise ValueError("no message")
        fields.append((number, wire, value))
    return fields


def write_message(fields):
    """The bytes of fields."""
    out = []
    for number, wire, value in fields:
        out.append(varint(number << 3 | wire))
        out.append(varint(value) if wire == 0 else varint(len(value)) + value if wire == 2 else value)
    return b"".join(out)


def mutate_message(data, rng, depth=0):
    """A field of a message, or of one inside it, with right lengths around."""
    try:
        fields = read_message(data)
    except ValueError:
        fields = []
    if not fields:
        return mutate_bytes(data, rng) if data else rng.choice((b"", b"\x08\x01", b"\x0a\x00"))
    place = rng.randrange(len(fields))
    number, wire, value = fields[place]
    if wire == 2 and rng.random() < 0.8 and depth < 8:
        fields[place] = number, wire, mutate_message(value, rng, depth + 1)
        return write_message(fields)
    match rng.randrange(8):
        case 0:
            del fields[place]
        case 1:
            fields[place:place] = [fields[place]] * rng.choice((1, 1, 2, 100, 3000))
        case 2:
            fields[place] = rng.choice((1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 20, 100, number + 1)), wire, value
        case 3:
            fields[place] = number, 0, rng.choice(NUMBERS)
        case 4:
            fields[place] = number, 2, rng.choice(WORDS).encode()
        case 5:
            other = rng.choice(fields)
            fields[place] = number, other[1], other[2]
        case 6:
            fields[place] = (
                number,
                rng.choice(((5, b"\0\0\x80\x7f"), (1, b"\xff" * 8), (2, b"\x7f" * 300)))[0],
                b"\xff" * 8,
            )
            fields[place] = (number, 2, b"\x7f" * 300) if rng.random() < 0.5 else (number, 1, b"\xff" * 8)
        case 7:
            rng.shuffle(fields)
    return write_message(fields)


_OPCODES = (
    *(
        b"N",
        b"}",
        b"]",
        b")",
        b"0",
        b"2",
        b"\x85",
        b"\x86",
        b"\x87",
        b"R",
        b"b",
        b"s",
        b"u",
        b"(",
        b"e",
        b"a",
        b"t",
        b"l",
    ),
    *(
        b"d",
        b"h\0",
        b"q\0",
        b"\x94",
        b"\x8f",
        b"\x90",
        b"\x91",
        b"\x81",
        b"Q",
        b".",
        b"K\x07",
        b"J\xff\xff\xff\xff",
        b"o",
    ),
    *(b"\x88", b"G" + b"\x7f\xf0" + b"\0" * 6, b"\x8a\x09" + b"\x7f" * 9, b"X\x01\0\0\0a", b"cos\nsystem\n", b"I1\n"),
    *(
        b"ctorch\nSize\n",
        b"cbuiltins\nset\n",
        b"ccollections\nOrderedDict\n",
        b"c_codecs\nencode\n",
        b"\x95" + b"\xff" * 8,
    ),
)


def mutate_pickle(data, rng):
    """Operations of a pickle: left out, doubled, moved, with other numbers, or new ones."""
    try:
        starts = [position for _, _, position in pickletools.genops(data)]
    except (ValueError, IndexError):
        return mutate_bytes(data, rng)
    rest = data[_end(data) :]
    spans = [data[start:stop] for start, stop in zip(starts, [*starts[1:], _end(data)], strict=True)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(spans))
        match rng.randrange(6):
            case 0:
                del spans[place]
            case 1:
                spans[place:place] = spans[place : place + rng.choice((1, 1, 5, 20))] * rng.choice((1, 2, 200))
            case 2:
                spans.insert(place, rng.choice(_OPCODES))
            case 3:
                spans[place] = rng.choice(_OPCODES)
            case 4:
                spans[place] = spans[place][:1] + mutate_bytes(spans[place][1:], rng)
            case 5:
                other = rng.randrange(len(spans))
                spans[place], spans[other] = spans[other], spans[place]
        if not spans:
            return b""
    return b"".join(spans) + rest


def _end(data):
    """The position after the first pickle."""
    stream = io.BytesIO(data)
    for opcode, _, _ in pickletools.genops(stream):
        if opcode.name == "STOP":
            return stream.tell()
    return len(data)


def mutate_legacy(data, rng):
    """One of the pickles in a row of torch.save's older form, or what follows them."""
    places = [0]
    for _ in range(5):
        places.append(places[-1] + _end(data[places[-1] :]))
    index = rng.randrange(7)
    if index >= 5:
        return data[: places[5]] + mutate_bytes(data[places[5] :], rng) if index == 5 else mutate_bytes(data, rng)
    piece = data[places[index] : places[index + 1]]
    return data[: places[index]] + mutate_pickle(piece, rng) + data[places[index + 1] :]


def mutate_zip(data, rng, kinds):
    """The content of a member, by its kind, with the right checksum; or the archive itself."""
    if rng.random() < 0.15:
        return mutate_bytes(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = rng.randrange(len(members))
    if rng.random() < 0.5:  # programs and descriptions rather than numbers
        texts = [index for index, (name, _) in enumerate(members) if name.endswith((".pkl", ".json"))]
        place = rng.choice(texts) if texts else place
    name, content = members[place]
    mutation = next((kind for end, kind in kinds if name.endswith(end)), mutate_bytes)
    match rng.randrange(10):
        case 0:
            members[place] = rng.choice(WORDS[1:]), content
        case 1:
            del members[place]
        case 2:
            members.append((name, content) if rng.random() < 0.3 else (f"{name}2", content))
        case _:
            members[place] = name, mutation(content, rng)
    out = io.BytesIO()
    deflated = rng.random() < 0.3
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name.replace("\0", "0")), content, archive.compression)
    return out.getvalue()


def mutate_npy(data, rng):
    """The header of an array, or anything."""
    head, brace, rest = data.partition(b"}")
    return _replace_token(head, rng) + brace + rest if rng.random() < 0.6 else mutate_bytes(data, rng)


def mutate_safetensors(data, rng):
    """The header, whose length is made right; or anything."""
    size = int.from_bytes(data[:8], "little")
    if rng.random() < 0.1:
        return mutate_bytes(data, rng)
    header = mutate_json(data[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def mutate_text(data, rng):
    """Words, numbers and marks of a text."""
    for _ in range(rng.choice((1, 1, 2, 6))):
        data = _replace_token(data, rng)
    return data


_TOKEN = re.compile(rb"\w[\w.]*|\"[^\"\n]*\"|[^\w\s]")
_TOKENS = (
    *(
        b"0x" + b"f" * 5000,
        b"9" * 5000,
        b"-1",
        b"0",
        b"1e999",
        b"nan",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b'"',
        b"true",
        b"#",
    ),
    *(
        b"concat_dim: 1",
        b"layer { }",
        b"kernel_size: 3",
        b"18446744073709551616",
        b"\\x",
        b"<",
        b">",
        b"'a\\",
        b"axis: -9",
    ),
)


def _replace_token(data, rng):
    tokens = [match.span() for match in _TOKEN.finditer(data)]
    if not tokens:
        return mutate_bytes(data, rng)
    start, stop = rng.choice(tokens)
    other = rng.choice(tokens)
    match rng.randrange(5):
        case 0:
            new = b""
        case 1 | 2:
            new = rng.choice(_TOKENS)
        case 3:
            new = data[slice(*other)]
        case _:
            new = data[start:stop] + b" " + data[start : other[1]] if other[1] > start else b"{" * 300
    return data[:start] + new + data[stop:]


def masked(content):
    crc = google_crc32c.value(bytes(content))
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def write_table(entries):
    """A table of LevelDB's form with right checksums, from `[(key, value)]`."""

    def stored(pairs):
        rows = (b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in pairs)
        content = b"".join(rows) + struct.pack("<II", 0, 1)
        return content + b"\0" + masked(content + b"\0")

    body = stored(entries)
    meta, index = (
        stored([]),
        stored([(max((key for key, _ in entries), default=b""), varint(0) + varint(len(body) - 5))]),
    )
    places = [varint(len(body)), varint(len(meta) - 5), varint(len(body) + len(meta)), varint(len(index) - 5)]
    return body + meta + index + b"".join(places).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def mutate_table(data, rng, entries):
    """A key or value of a table, written again with right checksums; or anything."""
    if rng.random() < 0.2 or not entries:
        return mutate_bytes(data, rng)
    entries = list(entries)
    place = rng.randrange(len(entries))
    key, value = entries[place]
    match rng.randrange(10):
        case 0:
            del entries[place]
        case 1:
            entries[place] = mutate_bytes(key, rng), value
        case 2:
            entries.append((key, rng.choice(entries)[1]))
        case _:
            entries[place] = key, mutate_message(value, rng)
    return write_table(sorted(entries))
