"""A second reader of ids, of their index and of slots, written from doc/column_format.md alone; it shares no
line with the first."""
import struct

from columns import Bytes, signed, xxh3


def head_of(blob, encodings):
    if xxh3(blob[:24] + bytes(8) + blob[32:]) != struct.unpack_from("<Q", blob, 24)[0]:
        raise ValueError("checksum")
    names = ("encoding", "flags", "member", "count", "base", "entries", "section")
    head = dict(zip(names, struct.unpack_from("<BBHIqII", blob)))
    if head["encoding"] not in encodings:
        raise ValueError("of a later build")
    return head, Bytes(blob[32:])


def ended(rest):
    if rest.data:
        raise ValueError("bytes behind the last")


def uuid(raw):
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])).encode()


def ids(blob):
    """The ids of a column, each as bytes."""
    head, rest = head_of(blob, (2,))
    rows = head["count"]
    if head["flags"] == 0:
        column = [uuid(rest.take(16)) for _ in range(rows)]
    elif head["flags"] == 1:
        packed = [rest.take(15) for _ in range(rows)]
        bits = int.from_bytes(rest.take((rows + 3) // 4), "little")
        column = []
        for row, raw in enumerate(packed):
            m = (bits >> 2 * row & 3) << 8 | raw[6]
            column.append(uuid(raw[:6] + bytes([0x40 | m >> 6, raw[7], 0x80 | m & 63]) + raw[8:]))
    else:
        groups = [rest.unpack("QII") for _ in range((rows + 63) // 64)]
        uuids = [rest.take(16) for _ in range(head["entries"])]
        lengths = rest.unpack(f"{rows - len(uuids)}{'H' if head['flags'] == 2 else 'I'}")
        texts = [rest.take(length) for length in lengths]
        column = []
        for row in range(rows):
            is_uuid = groups[row // 64][0] >> row % 64 & 1
            column.append(uuid(uuids.pop(0)) if is_uuid else texts.pop(0))
    ended(rest)
    return column


def page(filter_part, rows_part):
    """(least key, row) of each entry of a page, the shape (n, r, p) and the number of the page."""
    head, rest = head_of(filter_part, (3,))
    number, n, r, p, _, exceptions = rest.unpack("IIBBHI")
    longs = list(rest.unpack(f"{exceptions}I"))
    counts = [count if count < 255 else longs.pop(0) for count in rest.take(head["count"])]
    upper = rest.take(head["entries"])
    more = int.from_bytes(rest.take((head["entries"] * (r - 8) + 7) // 8), "little")
    ended(rest)
    buckets = [number * 2**p + bucket for bucket, count in enumerate(counts) for _ in range(count)]
    keys = [bucket << r | upper[i] << r - 8 | more >> i * (r - 8) & (1 << r - 8) - 1
            for i, bucket in enumerate(buckets)]
    _, rest = head_of(rows_part, (4,))
    if rest.unpack("IIBBHI") != (number, n, r, p, 0, 0):
        raise ValueError("parts of two pages")
    width = max(n - 1, 0).bit_length()
    packed = int.from_bytes(rest.take((len(keys) * width + 7) // 8), "little")
    rest.take(4)
    ended(rest)
    rows = [packed >> i * width & (1 << width) - 1 for i in range(len(keys))]
    return list(zip(keys, rows)), (n, r, p), number


def key_of(id_, n, r):
    text = id_.decode("latin-1")
    raw = id_
    if len(id_) == 36 and all(text[i] == "-" if i in (8, 13, 18, 23) else text[i] in "0123456789abcdef" for i in range(36)):
        raw = bytes.fromhex(text.replace("-", ""))
    return (xxh3(raw) >> 24) * max(1, n // 4) >> 40 - r


def slot(blob):
    """The members of a slot: {(member, form): numbers, texts or ids}, and the outdone rows."""
    head, rest = head_of(blob, (5,))
    table = [rest.unpack("HBBq") for _ in range(head["entries"])]
    members = {}
    for member, form, width, base in table:
        if form == 0:
            raw = rest.take(width * head["count"])
            members[member, form] = [
                signed(base + int.from_bytes(raw[row * width:(row + 1) * width], "little"))
                for row in range(head["count"])]
            continue
        part = Bytes(rest.take(base))
        if form == 1:
            lengths = part.unpack(f"{part.unpack('I')[0]}I")
            members[member, form] = [part.take(length) for length in lengths]
            ended(part)
        elif form == 2:
            members[member, form] = ids(part.data)
    outdone = list(rest.unpack(f"{head['base']}I"))
    ended(rest)
    return members, outdone
