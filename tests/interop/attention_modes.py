"""usage: attention_modes.py make DIR DEMO: writes a random GPT-2 and a random Qwen3 checkpoint with the demo's tokenizer into DIR/<name>/.
attention_modes.py run DIR/<name>: reads modes.json {ctx, layers, ranks, top_k}, evaluated.i32 and basis.i32 (windows of ctx tokens) there, and
prints a line "mode NLL" for every mode: mean negative log-likelihood of all predictions, by transformers in float64 with attention that is
written out here - every head's whole matrix of weights, bases by SVD of the stacked residuals of the unedited model."""
import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers as tf
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


def configurations():
    yield "gpt2", tf.GPT2Config(vocab_size=8192, n_positions=256, n_embd=96, n_layer=3, n_head=4)
    yield "qwen3", tf.Qwen3Config(vocab_size=8192, hidden_size=96, intermediate_size=160, num_hidden_layers=3, max_position_embeddings=256,
                                  num_attention_heads=4, num_key_value_heads=2, head_dim=24, tie_word_embeddings=True)


def make(out, demo):
    torch.manual_seed(0)
    for name, config in configurations():
        model = tf.AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():
            for key, p in model.named_parameters():
                p.add_(0.05 * torch.randn_like(p))
                # Heads that differ in how peaked they are: queries are larger than a random model's.
                if "q_norm" in key:
                    p.mul_(2.5)
                if "attn.c_proj.weight" in key:
                    p.mul_(4)
                if "c_attn.weight" in key:
                    p[:, :96].mul_(8)
        model.save_pretrained(out / name)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(demo / file, out / name / file)


class Rules:
    """What the chosen layers do: self.of(layer, p, v) -> context; p [B, H, T, T], v [B, H, T, d]."""

    def __init__(self):
        self.mode, self.layers, self.k, self.bases, self.collected = "full", (), 0, {}, None

    def of(self, layer, p, v):
        context = p @ v
        if layer not in self.layers:
            return context
        top = torch.gather(v, 2, p.argmax(-1, keepdim=True).expand(-1, -1, -1, v.shape[-1]))
        if self.collected is not None:
            self.collected.setdefault(layer, []).append(context - top)
        if self.mode == "top1":
            return top
        if self.mode == "topk":
            kth = p.topk(min(self.k, p.shape[-1]), -1).values[..., -1:]
            kept = torch.where(p >= kth, p, torch.zeros_like(p))
            return (kept / kept.sum(-1, keepdim=True)) @ v
        if self.mode == "rank":
            basis = self.bases[layer][:, :, : self.k]  # [H, d, r]
            return top + torch.einsum("bhtd,hdr,her->bhte", context - top, basis, basis)
        return context


RULES = Rules()


def attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query @ key.transpose(-1, -2) * scaling
    tokens = scores.shape[-1]
    scores = scores.masked_fill(torch.ones(tokens, tokens, dtype=torch.bool).triu(1), float("-inf"))
    context = RULES.of(module.layer_idx, scores.softmax(-1), value)
    return context.transpose(1, 2).contiguous(), None


def run(directory):
    spec = json.loads((directory / "modes.json").read_text())
    windows = {name: torch.from_numpy(np.fromfile(directory / f"{name}.i32", np.int32).astype(np.int64)).view(-1, spec["ctx"])
               for name in ("evaluated", "basis")}
    ALL_ATTENTION_FUNCTIONS.register("written_out", attention)
    model = tf.AutoModelForCausalLM.from_pretrained(directory, attn_implementation="written_out").double().eval()

    def nll():
        with torch.no_grad():
            logits = model(windows["evaluated"]).logits[:, :-1]
        labels = windows["evaluated"][:, 1:]
        return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)).item()

    print("base", repr(nll()))
    RULES.layers = tuple(spec["layers"])
    RULES.collected = {}
    with torch.no_grad():
        model(windows["basis"])
    for layer, residuals in RULES.collected.items():
        stacked = torch.cat(residuals).transpose(1, 2).flatten(0, 1)  # [N, H, d]
        RULES.bases[layer] = torch.stack([torch.linalg.svd(stacked[:, h], full_matrices=False).Vh.T for h in range(stacked.shape[1])])
    RULES.collected = None
    RULES.mode = "top1"
    print("top-1", repr(nll()))
    RULES.mode = "topk"
    for RULES.k in spec["top_k"]:
        print(f"top-{RULES.k}", repr(nll()))
    RULES.mode = "rank"
    for RULES.k in spec["ranks"]:
        print(f"rank-{RULES.k}", repr(nll()))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
    else:
        run(pathlib.Path(sys.argv[2]))
