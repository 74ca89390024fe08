/** Two widths on four kinds of device: an Edge TPU, a microcontroller, a phone's NPU and a board's CPU. */
import { bitbudget, here } from "../bitbudget.ts"

bitbudget(
  ...["compare", here("models/dscnn.onnx")],
  ...["--devices", "coral-edgetpu-usb,cortex-m7-stm32h743,snapdragon-8gen3-npu,rpi4-a72"],
  ...["--plans", "w8a8,w4a8"]
)
