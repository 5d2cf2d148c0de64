"""usage: decode_reference.py DIR: for every DIR/<TYPE>.bin writes DIR/<TYPE>.f32, decoded by the gguf package; prints the types done."""
import pathlib
import sys

import gguf
import numpy as np

for path in sorted(pathlib.Path(sys.argv[1]).glob("*.bin")):
    kind = getattr(gguf.GGMLQuantizationType, path.stem, None)
    if kind is None:
        continue
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = np.fromfile(path, np.uint8).reshape(-1, size)
    try:
        decoded = gguf.quants.dequantize(data, kind)
    except NotImplementedError:
        continue
    decoded.astype(np.float32).tofile(path.with_suffix(".f32"))
    print(path.stem)
