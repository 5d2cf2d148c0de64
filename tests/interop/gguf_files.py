"""Reads a GGUF file with PyPI gguf and describes it as JSON, or writes one with every metadata type and describes what it wrote.

usage: gguf_files.py describe FILE | write FILE | write-imatrix FILE
"""
import hashlib
import json
import sys

import gguf
import numpy as np

# One value of every scalar type and one array of every element type that gguf can write.
SCALARS = [
    ("s.u8", "UINT8", 255), ("s.i8", "INT8", -128), ("s.u16", "UINT16", 65535), ("s.i16", "INT16", -32768),
    ("s.u32", "UINT32", 4294967295), ("s.i32", "INT32", -2147483648), ("s.f32", "FLOAT32", 0.15625),
    ("s.u64", "UINT64", 18446744073709551615), ("s.i64", "INT64", -9223372036854775808), ("s.f64", "FLOAT64", 0.1),
    ("s.bool", "BOOL", True), ("s.string", "STRING", "naïve 東京"),
]
ARRAYS = [("a.i32", [-1, 0, 7]), ("a.f32", [0.5, -2.0]), ("a.bool", [True, False]), ("a.string", ["", "one", "zwölf"])]


def describe(path):
    reader = gguf.GGUFReader(path)
    keys = {}
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            continue
        value = field.contents()
        keys[name] = {"types": [t.name for t in field.types], "value": value if not isinstance(value, np.generic) else value.item()}
    tensors = [
        {"name": t.name, "type": t.tensor_type.name, "dims": [int(d) for d in t.shape], "bytes": int(t.n_bytes),
         "offset": int(t.data_offset), "sha256": hashlib.sha256(t.data.tobytes()).hexdigest()}
        for t in reader.tensors
    ]
    return {"alignment": int(reader.alignment), "keys": keys, "tensors": tensors}


def write(path):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(64)
    for name, kind, value in SCALARS:
        writer.add_key_value(name, value, gguf.GGUFValueType[kind])
    for name, values in ARRAYS:
        writer.add_array(name, values)
    rng = np.random.default_rng(7)
    matrix = rng.standard_normal((3, 256), dtype=np.float32)
    writer.add_tensor("plain", matrix)
    writer.add_tensor("half", matrix.astype(np.float16))
    writer.add_tensor("vector", rng.standard_normal(5, dtype=np.float32))
    writer.add_tensor("four", rng.integers(-5, 5, (2, 3, 4, 5), dtype=np.int32))
    for kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.BF16):
        writer.add_tensor("as " + kind.name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_imatrix(path):
    writer = gguf.GGUFWriter(path, "")
    writer.kv_data[0].clear()  # an imatrix has no architecture
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["a.txt", "b.txt"])
    writer.add_uint32("imatrix.chunk_count", 3)
    writer.add_uint32("imatrix.chunk_size", 512)
    writer.add_tensor("blk.0.ffn_up_exps.weight.in_sum2", np.array([[2, 4], [9, 12]], dtype=np.float32))
    writer.add_tensor("blk.0.ffn_up_exps.weight.counts", np.array([[2], [3]], dtype=np.float32))
    writer.add_tensor("blk.0.ffn_up_exps.weight.in_sum", np.array([[1, 1], [1, 1]], dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(mode, path):
    if mode == "write":
        write(path)
    if mode == "write-imatrix":
        write_imatrix(path)
    print(json.dumps(describe(path)))


main(*sys.argv[1:])
