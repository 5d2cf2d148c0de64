"""usage: outlier_metrics.py make DIR DEMO: writes random tiny checkpoints DIR/gpt2 and DIR/qwen3 with a few planted large weights and the demo's
tokenizer.
       outlier_metrics.py check DIR/<name> REQUEST.json RESULT.json: zeroes single weights of the checkpoint in transformers, float64, and writes
what that does. REQUEST: {"tail": 0.05, "prompts": [[token, ...], ...], "weights": [["blk.0.ffn_up.weight", row, column], ...]}."""
import json
import math
import pathlib
import shutil
import sys

import torch
import transformers as tf

PLANTED = [("attn_output", 0, 3, 5, 4.0), ("ffn_down", 1, 11, 40, -6.0), ("ffn_up", 2, 70, 9, 5.0)]
NAMES = {
    "qwen3": {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
              "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"},
    "gpt2": {"attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"},
}


def place(model, kind, tensor, row, column):
    """The parameter and the index of GGUF's [row, column]: GPT-2's Conv1D keeps its weights as [in, out]."""
    if tensor == "output.weight":
        return model.lm_head.weight, (row, column)
    _, layer, role, _ = tensor.split(".")
    blocks = model.transformer.h if kind == "gpt2" else model.model.layers
    weight = blocks[int(layer)].get_submodule(NAMES[kind][role]).weight
    return weight, (column, row) if kind == "gpt2" else (row, column)


def make(out, demo):
    torch.manual_seed(3)
    common = dict(vocab_size=8192, hidden_size=96, intermediate_size=160, num_hidden_layers=3, max_position_embeddings=256)
    configs = {
        "qwen3": tf.Qwen3Config(**common, num_attention_heads=4, num_key_value_heads=2, head_dim=40, tie_word_embeddings=False),
        "gpt2": tf.GPT2Config(vocab_size=8192, n_positions=256, n_embd=96, n_layer=3, n_head=4),
    }
    for kind, config in configs.items():
        model = tf.AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.05 * torch.randn_like(p))
            for role, layer, row, column, value in PLANTED:
                weight, index = place(model, kind, f"blk.{layer}.{role}.weight", row, column)
                weight[index] = value
        model.save_pretrained(out / kind)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(demo / file, out / kind / file)


def logits(model, prompts):
    with torch.no_grad():
        return [model(torch.tensor([prompt])).logits[0, :-1].double() for prompt in prompts]


def top_two(z):
    values = torch.topk(z, 2, dim=1).values
    return values[:, 0] - values[:, 1]


def compare(base, edited, prompts, tail):
    kl, flips, margin, nll, nll_base = [], 0, 0.0, 0.0, 0.0
    for z, q, prompt in zip(base, edited, prompts):
        log_p, log_q = torch.log_softmax(z, 1), torch.log_softmax(q, 1)
        kl += (log_p.exp() * (log_p - log_q)).sum(1).tolist()
        flips += int((z.argmax(1) != q.argmax(1)).sum())
        margin += float((top_two(q) - top_two(z)).sum())
        labels = torch.tensor(prompt[1:]).unsqueeze(1)
        nll_base -= float(log_p.gather(1, labels).sum())
        nll -= float(log_q.gather(1, labels).sum())
    n = len(kl)
    k = max(1, math.ceil(tail * n))
    return {"tokens": n, "mean_kl": sum(kl) / n, "tail_kl": sum(sorted(kl)[-k:]) / k, "flip_rate": flips / n, "margin_change": margin / n,
            "ppl_base": math.exp(nll_base / n), "ppl": math.exp(nll / n)}


def check(directory, request, result):
    kind = directory.name
    model = tf.AutoModelForCausalLM.from_pretrained(directory, attn_implementation="eager").double().eval()
    asked = json.loads(request.read_text())
    base, answers = logits(model, asked["prompts"]), []
    for tensor, row, column in asked["weights"]:
        weight, index = place(model, kind, tensor, row, column)
        kept = weight[index].clone()
        with torch.no_grad():
            weight[index] = 0
        answers.append(compare(base, logits(model, asked["prompts"]), asked["prompts"], asked["tail"]))
        with torch.no_grad():
            weight[index] = kept
    result.write_text(json.dumps(answers))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
    else:
        check(*map(pathlib.Path, sys.argv[2:5]))
