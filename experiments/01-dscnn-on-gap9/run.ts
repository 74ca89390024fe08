/** The main job on real data: formats for a trained depthwise network on GAP9, under a latency and a size budget at once. */
import { bitbudget, here } from "../bitbudget.ts"

bitbudget(
  ...["search", here("models/dscnn.onnx")],
  ...["--device", "gap9"],
  ...["--data", here("data/fashion-mnist/fashion-mnist.json")],
  ...["--budget", "latency<=75%", "--budget", "size<=85%"],
  ...["--weights", "w2,w4,w8", "--activations", "a8"],
  ...["--out", here("01-dscnn-on-gap9/out"), "--db", here("bitbudget.db")]
)
