"""usage: tiny_models.py DIR DEMO: writes random tiny Hugging Face models DIR/<name>/ with the demo's tokenizer, their token ids (tokens.i32)
and float32 logits (logits.f32), computed by transformers."""
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers as tf

TOKENS = 48


def configurations():
    common = dict(vocab_size=8192, hidden_size=96, intermediate_size=160, num_hidden_layers=3, max_position_embeddings=256)
    heads = lambda n, kv, dim: dict(num_attention_heads=n, num_key_value_heads=kv, head_dim=dim)
    yield "llama_gqa", tf.LlamaConfig(**common, **heads(4, 2, 24), tie_word_embeddings=False)
    yield "llama_tied_80", tf.LlamaConfig(**common, **heads(2, 1, 80), tie_word_embeddings=True, rope_theta=5e5)
    yield "llama_bias_40", tf.LlamaConfig(**common, **heads(2, 2, 40), attention_bias=False, rms_norm_eps=1e-5)
    yield "llama_linear", tf.LlamaConfig(**common, **heads(4, 4, 24), rope_scaling={"rope_type": "linear", "factor": 4.0})
    yield "llama_llama3", tf.LlamaConfig(**common, **heads(4, 2, 24), rope_theta=5e5, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64})
    yield "llama_yarn", tf.LlamaConfig(**common, **heads(4, 2, 24), rope_scaling={
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64})
    yield "mistral", tf.MistralConfig(**common, **heads(4, 2, 24), sliding_window=None)
    yield "mistral_window", tf.MistralConfig(**common, **heads(4, 2, 24), sliding_window=16)
    qwen2 = {k: v for k, v in common.items()}
    yield "qwen2", tf.Qwen2Config(**qwen2, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)
    yield "qwen2_untied", tf.Qwen2Config(**qwen2, num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=False)
    yield "qwen3", tf.Qwen3Config(**common, **heads(4, 2, 40), tie_word_embeddings=True)
    yield "qwen3_80", tf.Qwen3Config(**common, **heads(2, 1, 80), tie_word_embeddings=False)
    yield "gpt2", tf.GPT2Config(vocab_size=8192, n_positions=256, n_embd=96, n_layer=3, n_head=4)


def main():
    out, demo = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    torch.manual_seed(0)
    for name, config in configurations():
        config._attn_implementation = "eager"
        model = tf.AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():  # biases and norms away from their initial values
            for p in model.parameters():
                p.add_(0.05 * torch.randn_like(p))
        directory = out / name
        model.save_pretrained(directory)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(demo / file, directory / file)
        tokens = torch.randint(0, 8192, (2, TOKENS))
        with torch.no_grad():
            logits = model(tokens).logits
        tokens.numpy().astype(np.int32).tofile(directory / "tokens.i32")
        logits.numpy().astype(np.float32).tofile(directory / "logits.f32")
        print(name)


if __name__ == "__main__":
    main()
