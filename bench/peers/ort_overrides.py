"""Gives the document of `bitbudget translate --to onnxruntime` to ONNX Runtime's own quantizer and says whether its file has
the types and scales that stand there: `python ort_overrides.py model.onnx overrides.json`."""

import json
import sys
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

model, document = sys.argv[1], json.load(open(sys.argv[2]))
asked = document["extra_options"]["TensorQuantOverrides"]
overrides = {
    name: [
        {
            **entry,
            "quant_type": QuantType[entry["quant_type"]],
            **(
                {
                    "scale": np.array(entry["scale"], np.float32),
                    "zero_point": np.array(entry["zero_point"]).astype(
                        np.uint16 if "U" in entry["quant_type"] and "16" in entry["quant_type"] else
                        np.uint8 if "U" in entry["quant_type"] else np.int8
                    ),
                }
                if "scale" in entry
                else {}
            ),
        }
        for entry in entries
    ]
    for name, entries in asked.items()
}


class Noise(CalibrationDataReader):
    def __init__(self, inputs):
        random = np.random.default_rng(0)
        self.feeds = iter(
            [
                {i.name: random.random([d.dim_value or 1 for d in i.type.tensor_type.shape.dim], np.float32) for i in inputs}
                for _ in range(4)
            ]
        )

    def get_next(self):
        return next(self.feeds, None)


out = tempfile.mktemp(suffix=".onnx")
quantize_static(
    model,
    out,
    Noise(onnx.load(model).graph.input),
    quant_format=QuantFormat.QDQ,
    per_channel=True,
    nodes_to_exclude=document["nodes_to_exclude"],
    extra_options={"TensorQuantOverrides": overrides, "UseQDQContribOps": True},
)
written = {c.name: numpy_helper.to_array(c) for c in onnx.load(out).graph.initializer}
types = {c.name: onnx.TensorProto.DataType.Name(c.data_type) for c in onnx.load(out).graph.initializer}
wrong = 0
for name, entries in asked.items():
    scale = written.get(f"{name}_scale")
    zero = types.get(f"{name}_zero_point")
    wanted = np.array([entry["scale"] for entry in entries], np.float32)
    kind = entries[0]["quant_type"].removeprefix("Q").upper()
    fits = scale is not None and zero == kind and np.allclose(np.ravel(scale), wanted, rtol=1e-6)
    wrong += not fits
    if not fits:
        print(f"{name}: asked {kind} {wanted[:3]}, written {zero} {None if scale is None else np.ravel(scale)[:3]}")
print(f"{len(asked) - wrong} of {len(asked)} tensors as asked")
