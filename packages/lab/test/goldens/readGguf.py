"""Logits of a GGUF file of a Llama, computed in numpy from what the gguf package (0.19) reads, as llama.cpp computes them:
neighbouring dimensions of a head are rotated together.

pip install gguf; node packages/lab/test/goldens/writeGguf.ts FILE.gguf; python packages/lab/test/goldens/readGguf.py FILE.gguf
"""
import hashlib
import json
import pathlib
import sys

import gguf
import numpy as np

file = pathlib.Path(sys.argv[1])
reader = gguf.GGUFReader(file)
facts = {name: field.contents() for name, field in reader.fields.items()}
weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64) for t in reader.tensors}
tokens = [3, 1, 4, 15, 9, 26, 5, 35]

heads, kv = facts["llama.attention.head_count"], facts["llama.attention.head_count_kv"]
size, theta = facts["llama.rope.dimension_count"], facts["llama.rope.freq_base"]
epsilon = facts["llama.attention.layer_norm_rms_epsilon"]


def norm(x, w):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * w


def rotated(x):
    angles = np.arange(len(tokens))[:, None] * theta ** (-np.arange(0, size, 2) / size)
    turn = np.exp(1j * angles)[:, None, :]
    pairs = (x[..., 0::2] + 1j * x[..., 1::2]) * turn
    return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape)


x = weights["token_embd.weight"][tokens]
mask = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
for i in range(facts["llama.block_count"]):
    w = lambda name: weights[f"blk.{i}.{name}.weight"]
    h = norm(x, w("attn_norm"))
    q = rotated((h @ w("attn_q").T).reshape(len(tokens), heads, size))
    k = rotated((h @ w("attn_k").T).reshape(len(tokens), kv, size)).repeat(heads // kv, 1)
    v = (h @ w("attn_v").T).reshape(len(tokens), kv, size).repeat(heads // kv, 1)
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size) + mask
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    x = x + np.einsum("hqk,khd->qhd", shares, v).reshape(len(tokens), -1) @ w("attn_output").T
    h = norm(x, w("ffn_norm"))
    gate = h @ w("ffn_gate").T
    x = x + (gate / (1 + np.exp(-gate)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
logits = norm(x, weights["output_norm.weight"]) @ weights["output.weight"].T

golden = {
    "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    "types": {t.name: t.tensor_type.name for t in reader.tensors},
    "facts": {name: value for name, value in facts.items() if not name.startswith("GGUF.")},
    "tokens": tokens,
    "logits": np.round(logits, 7).tolist(),
}
pathlib.Path(__file__).with_name("gguf.json").write_text(json.dumps(golden))
