"""Adds to ggml.json what the gguf package (0.19) reads out of the blocks: float32, channel after channel.

pip install gguf; node packages/quant/test/goldens/ggml.ts; python packages/quant/test/goldens/ggml.py
"""
import base64
import json
import pathlib

import gguf
import numpy as np

file = pathlib.Path(__file__).with_name("ggml.json")
cases = json.loads(file.read_text())
for name, case in cases.items():
    blocks = np.frombuffer(base64.b64decode(case["blocks"]), dtype=np.uint8).reshape(2, -1)
    values = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name])
    case["values"] = base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()
file.write_text(json.dumps(cases))
