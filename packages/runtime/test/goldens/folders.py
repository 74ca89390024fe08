"""Small language models with random weights, as folders, and their logits by transformers.

python folders.py OUT: writes OUT/NAME/{config.json,model*.safetensors,golden.json} for each architecture.
"""
import json
import sys
from pathlib import Path

import torch
import transformers as t

BASE = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)

CASES = {
    "llama": (t.LlamaConfig, dict(rope_theta=1e4, head_dim=8, attention_bias=True, mlp_bias=True), "float32"),
    "llama3": (t.LlamaConfig, dict(tie_word_embeddings=True, rope_parameters=dict(
        rope_type="llama3", rope_theta=5e2, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=32)), "bfloat16"),
    "smollm": (t.LlamaConfig, dict(tie_word_embeddings=True, rope_theta=1e5, num_attention_heads=3,
                                   num_key_value_heads=1, hidden_size=24), "float16"),
    "mistral": (t.MistralConfig, dict(sliding_window=5, head_dim=16), "float32"),
    "qwen2": (t.Qwen2Config, dict(rope_theta=1e6), "float32"),
    "qwen3": (t.Qwen3Config, dict(rope_theta=1e6, head_dim=16), "float32"),
    "gemma": (t.GemmaConfig, dict(head_dim=16, num_key_value_heads=1), "float32"),
    "phi3": (t.Phi3Config, dict(), "float32"),
}


def main(out: Path) -> None:
    for name, (config_type, options, dtype) in CASES.items():
        torch.manual_seed(len(name))
        config = config_type(**{**BASE, **options})
        model = t.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
        with torch.no_grad():
            for parameter in model.parameters():
                # Biases and norms away from their initial zeros and ones, so that leaving one out shows.
                parameter.add_(0.2 * torch.randn_like(parameter))
        model = model.to(getattr(torch, dtype))
        folder = out / name
        shard = "20KB" if name == "qwen2" else "1GB"
        model.save_pretrained(folder, max_shard_size=shard)
        (folder / "generation_config.json").unlink(missing_ok=True)
        # As it is loaded: the frequencies of positions are not among the rounded weights.
        model = t.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        tokens = torch.randint(0, config.vocab_size, (2, 11))
        with torch.no_grad():
            logits = model(tokens).logits
        golden = dict(tokens=tokens.tolist(), logits=[[[round(x, 6) for x in row] for row in rows] for rows in logits.tolist()])
        (folder / "golden.json").write_text(json.dumps(golden))


main(Path(sys.argv[1]))
