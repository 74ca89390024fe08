/**
 * A cache of keys and values in fewer bits: every head's numbers of one token share a scale and a least value, both halves, and
 * are rounded when they are written, x̂ = s·⌊(x − l)/s⌉ + l with s = (max − min)/(2^b − 1). That is how runtimes keep caches
 * that grow token by token: nothing has to be known of the tokens that follow.
 */
import { type Graph, GraphBuilder, Phases, Tensor } from "@bitbudget/graph"

/** Bits a number takes with its scale and least value, for heads of `width` numbers. */
export const storedBits = (bits: number, width: number): number => (bits >= 16 ? bits : bits + 32 / width)

/** Below the least half a scale would be 0. */
const LEAST_SCALE = 2 ** -24

/** Adds the rounded value of `value` [batch, …, width]. */
const rounded = (builder: GraphBuilder, value: string, bits: number): string => {
  const name = (part: string) => ({ name: `${value}/cache_${part}` })
  const half = (of: string, part: string) => {
    const narrow = builder.add("Cast", [of], { to: "float16" }, name(`${part}_half`))
    return builder.add("Cast", [narrow], { to: "float32" }, name(part))
  }
  const number = (x: number) => builder.constant(Tensor.scalar("float32", x), `${value}/cache_number`)
  const axes = { axes: [builder.shape(value).length - 1], keepDims: true }
  const low = half(builder.add("ReduceMin", [value], axes, name("min")), "low")
  const high = builder.add("ReduceMax", [value], axes, name("max"))
  const range = builder.add("Sub", [high, low], {}, name("range"))
  const step = builder.add("Mul", [range, number(1 / (2 ** bits - 1))], {}, name("step"))
  const scale = half(builder.add("Max", [step, number(LEAST_SCALE)], {}, name("least")), "scale")
  const above = builder.add("Sub", [value, low], {}, name("above"))
  const steps = builder.add(
    "Round",
    [builder.add("Div", [above, scale], {}, name("ratio"))],
    {},
    name("code")
  )
  // The least value is a half, above which the smallest number may lie, or below.
  const most = builder.add("Min", [steps, number(2 ** bits - 1)], {}, name("most"))
  const code = builder.add("Max", [most, number(0)], {}, name("clipped"))
  const scaled = builder.add("Mul", [code, scale], {}, name("scaled"))
  return builder.add("Add", [scaled, low], {}, name("rounded"))
}

/** The graph with its keys and values rounded to `bits`; 16 and more stay as they are. */
export const withCacheBits = (graph: Graph.Graph, bits: number): Graph.Graph => {
  const kept = new Set(bits >= 16 ? [] : Phases.keptValues(graph))
  const builder = GraphBuilder.over(graph)
  const instead = new Map<string, string>()
  for (const node of graph.nodes) {
    builder.push({ ...node, inputs: node.inputs.map((input) => instead.get(input) ?? input) })
    for (const output of node.outputs)
      if (kept.has(output)) instead.set(output, rounded(builder, output, bits))
  }
  return builder.finish(graph.outputs)
}
