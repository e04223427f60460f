"""Reads and writes safetensors files, strictly by the format's specification.

Layout of a file:

    8 bytes   N, the header's length, unsigned little-endian
    N bytes   the header: UTF-8 JSON, first byte '{', may end in spaces (0x20)
    the rest  the tensors' bytes, little-endian, row-major, in one buffer

The header maps each tensor's name to {"dtype", "shape", "data_offsets": [begin, end]}, offsets
counted from the start of the buffer; `__metadata__` maps strings to strings. Keys must be unique,
the tensors must cover the buffer exactly: no holes, no overlaps, nothing behind the last one.

Source: the README of github.com/huggingface/safetensors, section "Format".
"""

import json
import math
import os
import struct

import numpy as np

MAX_HEADER_BYTES = 100_000_000

# Types unknown to numpy are read as their raw bits, and never written.
DTYPES = {
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "F8_E4M3": np.dtype("u1"),
    "F8_E5M2": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_RAW = ("BF16", "F8_E4M3", "F8_E5M2")  # what numpy has no type for


class FormatError(ValueError):
    """A file that is not safetensors; the text says what is wrong and where."""


def _dtype_name(array):
    for name, dtype in DTYPES.items():
        if name not in _RAW and array.dtype == dtype:
            return name
    raise TypeError(f"safetensors has no type for numpy's {array.dtype}")


def write(path, tensors, metadata=None):
    """Writes {name: numpy array} and an optional {str: str}; the file is replaced whole.

    Tensors are ordered by falling element size, then by name, so every one of them is aligned.
    """
    metadata = metadata or {}
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"__metadata__ maps strings to strings, not {key!r} to {value!r}")
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for name in names:
        if name == "__metadata__":
            raise ValueError("a tensor cannot be named __metadata__")
        array = tensors[name]
        header[name] = {
            "dtype": _dtype_name(array),
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    head = text.encode("utf-8")
    head += b" " * (-len(head) % 8)
    temporary = f"{path}.tmp"
    with open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(head)))
        file.write(head)
        for name in names:
            array = tensors[name]
            file.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes(order="C"))
    os.replace(temporary, path)


def _unique_keys(pairs):
    result = {}
    for key, value in pairs:
        if key in result:
            raise FormatError(f"the key {key!r} stands twice in the header")
        result[key] = value
    return result


def _reject_constant(text):
    raise FormatError(f"{text} is not JSON")


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _check_entry(name, entry, buffer_bytes):
    if not isinstance(entry, dict):
        raise FormatError(f"{name!r}: the entry must be an object, not {entry!r}")
    if set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(
            f"{name!r}: the entry has the keys {sorted(entry)}; it must have exactly dtype, shape"
            " and data_offsets"
        )
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise FormatError(f"{name!r}: unknown dtype {dtype!r}; known are {', '.join(DTYPES)}")
    if not isinstance(shape, list) or not all(_is_count(extent) for extent in shape):
        raise FormatError(f"{name!r}: shape {shape!r} is not a list of integers >= 0")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise FormatError(f"{name!r}: data_offsets {offsets!r} is not [begin, end]")
    begin, end = offsets
    if begin > end:
        raise FormatError(f"{name!r}: data_offsets [{begin}, {end}] run backwards")
    if end > buffer_bytes:
        raise FormatError(
            f"{name!r}: data_offsets [{begin}, {end}] pass the buffer's end at {buffer_bytes}"
        )
    need = math.prod(shape) * DTYPES[dtype].itemsize
    if need != end - begin:
        raise FormatError(
            f"{name!r}: {dtype} of shape {shape} needs {need} bytes, data_offsets give"
            f" {end - begin}"
        )
    return begin, end


def read_header(data):
    """Returns (header dict, offset of the buffer) of a whole file's bytes, after every check."""
    if len(data) < 8:
        raise FormatError(f"the file has {len(data)} bytes; the header's length alone takes 8")
    (length,) = struct.unpack_from("<Q", data)
    if length > MAX_HEADER_BYTES:
        raise FormatError(f"a header of {length} bytes; the limit is {MAX_HEADER_BYTES}")
    if 8 + length > len(data):
        raise FormatError(f"a header of {length} bytes in a file of {len(data)} bytes")
    raw = data[8 : 8 + length]
    if raw[:1] != b"{":
        raise FormatError(f"the header begins with {raw[:1]!r}, not with '{{'")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"the header is not UTF-8: {error}") from error
    text = text.rstrip(" ")
    if not text.endswith("}"):
        raise FormatError(f"behind the header's object stands {text[-1:]!r}; only spaces may")
    try:
        header = json.loads(
            text, object_pairs_hook=_unique_keys, parse_constant=_reject_constant
        )
    except json.JSONDecodeError as error:
        raise FormatError(f"the header is not JSON: {error}") from error
    except RecursionError as error:
        raise FormatError("the header is nested too deeply") from error
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError("__metadata__ must map strings to strings")
    buffer_bytes = len(data) - 8 - length
    spans = []
    for name, entry in header.items():
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise FormatError(f"the key {name!r} is not Unicode text: {error}") from error
        if name != "__metadata__":
            begin, end = _check_entry(name, entry, buffer_bytes)
            spans.append((begin, end, name))
    covered = 0
    for begin, end, name in sorted(spans):
        if begin > covered:
            raise FormatError(f"bytes {covered} to {begin} before {name!r} belong to no tensor")
        if begin < covered:
            raise FormatError(f"{name!r} at {begin} overlaps the tensor before it, to {covered}")
        covered = end
    if covered != buffer_bytes:
        raise FormatError(f"bytes {covered} to {buffer_bytes} at the end belong to no tensor")
    return header, 8 + length


def read(path):
    """Returns ({name: numpy array}, {metadata}); throws FormatError for any other file."""
    with open(path, "rb") as file:
        data = file.read()
    header, start = read_header(data)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(data[start + begin : start + end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, header.get("__metadata__", {})
