"""usage: task_likelihoods.py OUT DEMO N FILE..: scores the first N items of every file by transformers, each option alone, by the rules of
lm-evaluation-harness 0.4.13, on the bundled model and on random Qwen2 and GPT-2 models, which it writes to OUT/<name>/. Writes
OUT/<name>/likelihoods.json: {file: [[log-likelihood of every option of an item]]}."""
import json
import pathlib
import shutil
import sys

import torch
import transformers as tf


def random_models():
    yield "qwen2", tf.Qwen2Config(vocab_size=8192, hidden_size=96, intermediate_size=160, num_hidden_layers=3, max_position_embeddings=256,
                                  num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)
    yield "gpt2", tf.GPT2Config(vocab_size=8192, n_positions=256, n_embd=96, n_layer=3, n_head=4)


def pairs(item):
    if "query" in item:
        return [(item["query"], " " + choice) for choice in item["choices"]]
    return [(context, " " + item["continuation"]) for context in item["context_options"]]


def encoded(tokenizer, context, continuation):
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        context, continuation = context[:-spaces], context[-spaces:] + continuation
    assert context, "the files have no empty contexts"
    whole = tokenizer.encode(context + continuation)
    return whole, len(tokenizer.encode(context))


@torch.no_grad()
def likelihood(model, longest, whole, context):
    scored = len(whole) - context
    fed = whole[-(longest + 1):][:-1]
    log_p = model(torch.tensor([fed])).logits[0, -scored:].double().log_softmax(-1)
    return log_p[torch.arange(scored), torch.tensor(whole[-scored:])].sum().item()


def main():
    out, demo, count, files = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    torch.manual_seed(0)
    tokenizer = tf.AutoTokenizer.from_pretrained(demo)
    models = {"demo": tf.AutoModelForCausalLM.from_pretrained(demo, dtype=torch.float32, attn_implementation="eager").eval()}
    for name, config in random_models():
        config._attn_implementation = "eager"
        models[name] = tf.AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():
            for p in models[name].parameters():
                p.add_(0.05 * torch.randn_like(p))
        models[name].save_pretrained(out / name)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(demo / file, out / name / file)
    for name, model in models.items():
        longest = model.config.max_position_embeddings
        results = {}
        for file in files:
            items = [json.loads(line) for line in open(file, encoding="utf-8")][:count if name == "demo" else count // 5]
            results[file] = [[likelihood(model, longest, *encoded(tokenizer, *pair)) for pair in pairs(item)] for item in items]
        (out / name).mkdir(exist_ok=True)
        (out / name / "likelihoods.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
