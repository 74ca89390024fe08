/** The main job on real data: bit widths for a trained ResNet-8 under a size and a latency budget at once. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

const command = [
  here("../../packages/cli/src/main.ts"),
  ...["search", here("../models/resnet8.onnx")],
  ...["--device", "generic-45nm"],
  ...["--data", here("../data/fashion-mnist/fashion-mnist.json")],
  ...["--budget", "size<=65%", "--budget", "latency<=95%"],
  ...["--bits", "2,4,8", "--activation-bits", "8"],
  ...["--out", here("out"), "--db", here("../bitbudget.db")],
  ...process.argv.slice(2)
]

spawn(process.execPath, command, { stdio: "inherit" }).on("exit", (code) => {
  process.exitCode = code ?? 130
})
