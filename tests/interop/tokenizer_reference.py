"""usage: tokenizer_reference.py CASES OUT KIND PATH | --time TEXT KIND PATH
--time prints the least seconds that one thread needs for the text, given whole or line by line. Otherwise:
encodes every text of CASES (u32 length, bytes) with PyPI tokenizers and decodes it again; OUT.ids: u32 count, i32 ids; OUT.txt: u32 length, bytes.
KIND: json (PATH is a tokenizer.json), gpt2 or qwen2 (PATH holds vocab.json and merges.txt, put together as transformers does).
Bytes that are not UTF-8 are decoded with errors="replace": the package takes text only."""
import json
import os
import pathlib
import struct
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def from_json(path):
    root = json.loads(path.read_text())
    # Old files mark <s> as "normalized", which hides it in text unless a space stands before it; newer files of the same models do not.
    for token in root["added_tokens"]:
        token["normalized"] = False
    root["post_processor"] = None  # no BOS: the test compares the text's ids
    root["truncation"] = root["padding"] = None  # some files were saved while a script cut texts
    return Tokenizer.from_str(json.dumps(root))


def from_vocab(path, kind):
    tokenizer = Tokenizer(models.BPE.from_file(str(path / "vocab.json"), str(path / "merges.txt")))
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(QWEN2), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        added = json.loads((path / "tokenizer_config.json").read_text())["added_tokens_decoder"]
        tokens = [(int(id), token) for id, token in added.items()]
        for id, token in sorted(tokens, key=lambda pair: pair[0]):
            add = tokenizer.add_special_tokens if token["special"] else tokenizer.add_tokens
            add([AddedToken(token["content"], normalized=False, special=token["special"])])
            assert tokenizer.token_to_id(token["content"]) == id
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.add_special_tokens([AddedToken("<|endoftext|>", normalized=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def best_seconds(tokenizer, text):
    best = float("inf")
    for pieces in ([text], text.splitlines(keepends=True)):
        for _ in range(3):
            begin = time.perf_counter()
            for piece in pieces:
                tokenizer.encode(piece, add_special_tokens=False)
            best = min(best, time.perf_counter() - begin)
    return best


def main(cases, out, kind, path):
    path = pathlib.Path(path)
    tokenizer = from_json(path) if kind == "json" else from_vocab(path, kind)
    if cases == "--time":
        print(best_seconds(tokenizer, pathlib.Path(out).read_text()))
        return
    data = pathlib.Path(cases).read_bytes()
    at = 0
    with open(out + ".ids", "wb") as ids_file, open(out + ".txt", "wb") as text_file:
        while at < len(data):
            (size,) = struct.unpack_from("<I", data, at)
            text = data[at + 4:at + 4 + size].decode("utf-8", errors="replace")
            at += 4 + size
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            ids_file.write(struct.pack(f"<I{len(ids)}i", len(ids), *ids))
            decoded = tokenizer.decode(ids, skip_special_tokens=False).encode()
            text_file.write(struct.pack("<I", len(decoded)) + decoded)


main(*sys.argv[1:])
