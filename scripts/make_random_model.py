#!/usr/bin/env python3
"""Writes a GGUF with random weights in the exact shape of a public model, for speed measurements.

usage: make_random_model.py SHAPE OUT.gguf [--type bf16|f16|f32] [--layers N]

SHAPE: qwen2.5-0.5b or llama-3.2-1b. The tokenizer is the demo model's (demo/reference-9m), its vocabulary filled up with
unused tokens to the model's size, so that any text gives tokens and every logit is computed. --layers: fewer blocks than the model
has, each of the same shape. Needs the packages numpy and gguf.
"""
import argparse
import json
import pathlib

import gguf
import numpy as np

SHAPES = {
    "qwen2.5-0.5b": dict(arch="qwen2", layers=24, width=896, ffn=4864, heads=14, kv_heads=2, vocab=151936, rope=1e6, eps=1e-6,
                         context=32768, bias=True),
    "llama-3.2-1b": dict(arch="llama", layers=16, width=2048, ffn=8192, heads=32, kv_heads=8, vocab=128256, rope=5e5, eps=1e-5,
                         context=131072, bias=False),
}
TYPES = {"bf16": gguf.GGMLQuantizationType.BF16, "f16": gguf.GGMLQuantizationType.F16, "f32": gguf.GGMLQuantizationType.F32}
FILE_TYPES = {"bf16": gguf.LlamaFileType.MOSTLY_BF16, "f16": gguf.LlamaFileType.MOSTLY_F16, "f32": gguf.LlamaFileType.ALL_F32}


def encoded(values, kind):
    return gguf.quants.quantize(values, TYPES[kind])


def add_tokenizer(writer, vocab):
    demo = pathlib.Path(__file__).resolve().parent.parent / "demo" / "reference-9m" / "tokenizer.json"
    model = json.loads(demo.read_text())["model"]
    tokens = [None] * vocab
    for token, index in model["vocab"].items():
        tokens[index] = token
    used = sum(t is not None for t in tokens)
    tokens = [t if t is not None else f"<|unused_{i}|>" for i, t in enumerate(tokens)]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * used + [gguf.TokenType.UNUSED] * (vocab - used))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out")
    parser.add_argument("--type", choices=TYPES, default="bf16")
    parser.add_argument("--layers", type=int, help="blocks; default: as many as the model has")
    options = parser.parse_args()
    s = dict(SHAPES[options.shape])
    if options.layers is not None:
        if options.layers < 1:
            parser.error("--layers: at least 1")
        s["layers"] = options.layers
    head = s["width"] // s["heads"]
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(options.out, s["arch"], use_temp_file=True)
    writer.add_name(options.shape + "-random")
    writer.add_file_type(FILE_TYPES[options.type])
    writer.add_block_count(s["layers"])
    writer.add_context_length(s["context"])
    writer.add_embedding_length(s["width"])
    writer.add_feed_forward_length(s["ffn"])
    writer.add_head_count(s["heads"])
    writer.add_head_count_kv(s["kv_heads"])
    writer.add_rope_freq_base(s["rope"])
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(s["eps"])
    writer.add_vocab_size(s["vocab"])
    add_tokenizer(writer, s["vocab"])

    def matrix(name, rows, columns):
        values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(columns**-0.5)
        writer.add_tensor(name, encoded(values, options.type), raw_dtype=TYPES[options.type])

    def vector(name, size, value):
        noise = rng.standard_normal(size, dtype=np.float32) * np.float32(0.02)
        writer.add_tensor(name, noise + np.float32(value))

    matrix("token_embd.weight", s["vocab"], s["width"])
    vector("output_norm.weight", s["width"], 1)
    for i in range(s["layers"]):
        block = f"blk.{i}."
        vector(block + "attn_norm.weight", s["width"], 1)
        for part, rows in (("q", s["heads"] * head), ("k", s["kv_heads"] * head), ("v", s["kv_heads"] * head)):
            matrix(block + f"attn_{part}.weight", rows, s["width"])
            if s["bias"]:
                vector(block + f"attn_{part}.bias", rows, 0)
        matrix(block + "attn_output.weight", s["width"], s["heads"] * head)
        vector(block + "ffn_norm.weight", s["width"], 1)
        matrix(block + "ffn_gate.weight", s["ffn"], s["width"])
        matrix(block + "ffn_up.weight", s["ffn"], s["width"])
        matrix(block + "ffn_down.weight", s["width"], s["ffn"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
