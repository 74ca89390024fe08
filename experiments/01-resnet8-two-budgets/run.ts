/** The main job on real data: bit widths for a trained ResNet-8 under a size and a latency budget at once. */
import { bitbudget, here } from "../bitbudget.ts"

bitbudget(
  ...["search", here("models/resnet8.onnx")],
  ...["--device", "generic-45nm"],
  ...["--data", here("data/fashion-mnist/fashion-mnist.json")],
  ...["--budget", "size<=65%", "--budget", "latency<=95%"],
  ...["--bits", "2,4,8", "--activation-bits", "8"],
  ...["--out", here("01-resnet8-two-budgets/out"), "--db", here("bitbudget.db")]
)
