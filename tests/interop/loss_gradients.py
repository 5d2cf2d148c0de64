"""usage: loss_gradients.py DIR DEMO: writes random tiny Hugging Face models DIR/<name>/ with the demo's tokenizer, token ids (tokens.i32), the
mean NLL of positions 20 .. 46 of each window (loss.f32) and its gradient at every matrix (<parameter name>.grad.f32), by PyTorch."""
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers as tf

WINDOWS, TOKENS, BEGIN = 3, 48, 20


def configurations():
    common = dict(vocab_size=8192, hidden_size=96, intermediate_size=160, num_hidden_layers=3, max_position_embeddings=256,
                  num_attention_heads=4, num_key_value_heads=2)
    yield "llama", tf.LlamaConfig(**common, head_dim=24, tie_word_embeddings=False)
    yield "qwen3", tf.Qwen3Config(**common, head_dim=40, tie_word_embeddings=True)


def main():
    out, demo = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    torch.manual_seed(0)
    for name, config in configurations():
        config._attn_implementation = "eager"
        model = tf.AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():  # norms away from their initial values
            for p in model.parameters():
                p.add_(0.05 * torch.randn_like(p))
        directory = out / name
        model.save_pretrained(directory)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(demo / file, directory / file)
        tokens = torch.randint(0, 8192, (WINDOWS, TOKENS))
        logits = model(tokens).logits[:, BEGIN:TOKENS - 1].reshape(-1, 8192)
        loss = torch.nn.functional.cross_entropy(logits, tokens[:, BEGIN + 1:].reshape(-1))
        loss.backward()
        tokens.numpy().astype(np.int32).tofile(directory / "tokens.i32")
        np.array([loss.item()], np.float32).tofile(directory / "loss.f32")
        for parameter, p in model.named_parameters():
            if p.dim() == 2:
                p.grad.numpy().astype(np.float32).tofile(directory / f"{parameter}.grad.f32")


if __name__ == "__main__":
    main()
