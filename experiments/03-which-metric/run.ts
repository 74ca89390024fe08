/** Which metric ranks best what rounding really costs: judged on samples that none of them saw. */
import { bitbudget, here } from "../bitbudget.ts"

bitbudget(
  ...["sensitivity", here("models/resnet8.onnx")],
  ...["--data", here("data/fashion-mnist/fashion-mnist.json")],
  ...["--samples", "512", "--bits", "2,4,8"],
  ...["--db", here("bitbudget.db")]
)
