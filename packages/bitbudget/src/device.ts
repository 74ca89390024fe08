/** Device profiles and the cost model: latency, energy and bytes of a network on a chip. */
import "./node20.ts"

export * from "@bitbudget/device"
