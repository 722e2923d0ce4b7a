"""The file that a job's parameters are kept in: safetensors, written as a stream.

A safetensors file is the length of its header (uint64, little-endian), the header (JSON, padded with blanks to a multiple of
8 bytes), and the tensors' bytes one after the other: after the header comes exactly our flat buffer.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from synapsenet.training.schema import ParameterSchema

_ALIGNMENT = 8


def file_header(schema: ParameterSchema, metadata: Mapping[str, str]) -> bytes:
    """Everything that stands before the flat buffer; `metadata` is kept in the file as text."""
    entries: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    for tensor in schema.tensors:
        entries[tensor.name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [tensor.offset, tensor.offset + tensor.size],
        }
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text
