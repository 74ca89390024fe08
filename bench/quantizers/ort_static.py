"""ONNX Runtime's own static quantizer: QDQ, unsigned 8-bit activations, signed 8-bit weights a channel.

python ort_static.py MODEL.onnx CALIBRATION.f32 SHAPE OUT.onnx
"""

import sys

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

model, samples, shape, out = sys.argv[1:]
data = np.fromfile(samples, dtype=np.float32).reshape([int(n) for n in shape.split("x")])


class Reader(CalibrationDataReader):
    def __init__(self):
        import onnxruntime

        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.batches = iter([{session.get_inputs()[0].name: data[i : i + 64]} for i in range(0, len(data), 64)])

    def get_next(self):
        return next(self.batches, None)


quantize_static(
    model,
    out,
    Reader(),
    quant_format=QuantFormat.QDQ,
    per_channel=True,
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
)
