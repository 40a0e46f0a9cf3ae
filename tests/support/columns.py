"""A second reader of columns, written from doc/column_format.md alone; it shares no line with the first.
Only XXH3 and zstd are libraries."""
import ctypes
import ctypes.util
import struct

WORD64 = (1 << 64) - 1
BLOCK = 512


def library(name):
    return ctypes.CDLL(ctypes.util.find_library(name) or f"lib{name}.so")


def xxh3(data):
    function = library("xxhash").XXH3_64bits
    function.restype = ctypes.c_uint64
    return function(ctypes.c_char_p(bytes(data)), ctypes.c_size_t(len(data)))


def unzstd(frame, size):
    function = library("zstd").ZSTD_decompress
    function.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(max(size, 1))
    done = function(out, ctypes.c_size_t(size), ctypes.c_char_p(frame), ctypes.c_size_t(len(frame)))
    if done != size:
        raise ValueError(f"zstd: {done} bytes in place of {size}")
    return out.raw[:size]


def signed(value):
    value &= WORD64
    return value - (1 << 64) if value >> 63 else value


def unzigzag(value):
    return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


class Bytes:
    """What is left of a run of bytes."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        if count > len(self.data):
            raise ValueError(f"{count} bytes wanted, {len(self.data)} there")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def unpack(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))


def halves(bytes_, width, patches):
    """512 numbers of 32 bits."""
    lanes = struct.unpack(f"<{16 * width}I", bytes_.take(64 * width))
    numbers = []
    for i in range(BLOCK):
        lane = sum(lanes[word * 16 + i % 16] << 32 * word for word in range(width))
        numbers.append(lane >> i // 16 * width & (1 << width) - 1)
    for (patch,) in struct.iter_unpack("<I", bytes_.take(4 * patches)):
        numbers[patch % BLOCK] |= patch >> 9 << width
    return numbers


def head_of(blob):
    if xxh3(blob[:24] + bytes(8) + blob[32:]) != struct.unpack_from("<Q", blob, 24)[0]:
        raise ValueError("checksum")
    names = ("encoding", "flags", "member", "count", "base", "entries", "section")
    head = dict(zip(names, struct.unpack_from("<BBHIqII", blob)))
    if head["encoding"] != 1:
        raise ValueError("of a later build")
    return head


def rows_of(count, block):
    return min(BLOCK, count - block * BLOCK)


def numbers(blob):
    """The numbers of a column, None where one is unknown."""
    head = head_of(blob)
    rest = Bytes(blob[32:])
    uppers = Bytes(rest.take(head["section"]))
    heads = [rest.unpack("BBHI") for _ in range((head["count"] + BLOCK - 1) // BLOCK)]
    column = []
    for k, (width, flags, patches, least) in enumerate(heads):
        rows = rows_of(head["count"], k)
        if flags & 8:
            column += [None] * rows
            continue
        start = rest.unpack("q")[0] if flags & 1 else None
        gaps = int.from_bytes(rest.take(64), "little") if flags & 4 else 0
        x = [least + lower for lower in halves(rest, width, patches)]
        if flags & 2:
            width, _, patches, least = uppers.unpack("BBHI")
            x = [low + (upper + least << 32) for low, upper in zip(x, halves(rest, width, patches))]
        for i in range(rows):
            value = x[i] & WORD64
            if flags & 1:
                start += unzigzag(value)
            number = signed(start if flags & 1 else head["base"] + value)
            column.append(None if gaps >> i & 1 else number)
    if rest.data or uppers.data:
        raise ValueError("bytes behind the last block")
    return column


def words(blob):
    """The words of a column: numbers of the segment's table, or texts as bytes."""
    head = head_of(blob)
    rest = Bytes(blob[32:])
    section = Bytes(rest.take(head["section"]))
    texts, raw_bytes, frame_bytes = section.unpack("III") if head["flags"] & 2 else (0, 0, 0)
    dictionary = list(section.unpack(f"{head['entries']}H"))
    heads = [rest.unpack("BBHI") for _ in range((head["count"] + BLOCK - 1) // BLOCK)]
    codes = []
    for k, (width, _, patches, least) in enumerate(heads):
        codes += [least + code for code in halves(rest, width, patches)][: rows_of(head["count"], k)]
    frame = rest.take(frame_bytes)
    if rest.data:
        raise ValueError("bytes behind the texts")
    if texts:
        raw = Bytes(unzstd(frame, raw_bytes))
        lengths = raw.unpack(f"{texts}I")
        dictionary += [raw.take(length) for length in lengths]
    return [dictionary[code] for code in codes]


def zones(data):
    """(member, flags, bytes, first 8 bytes, second 8 bytes) of each member."""
    if xxh3(data[:-8]) != struct.unpack("<Q", data[-8:])[0]:
        raise ValueError("checksum")
    return list(struct.iter_unpack("<HHIqq", data[:-8]))
