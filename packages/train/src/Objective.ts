/**
 * What a step makes smaller: the task's loss, the distance to the float network's outputs, or a mixture of both.
 *
 * The distance of class scores is T²·KL(softmax(t/T) ‖ softmax(z/T)), T the temperature (Hinton, Vinyals & Dean,
 * "Distilling the Knowledge in a Neural Network", 2015); that of other outputs the squared error over the mean square of
 * the float network's own. It needs no labels. The float network is part of the training graph, so that it sees the same
 * augmented samples.
 */
import { Gradient, type Graph, type GraphBuilder } from "@bitbudget/graph"

/** An output that is compared with the float network's. */
export interface Compared {
  readonly name: string
  /** Scores along an axis, or anything else. */
  readonly kind: "classes" | "map"
  /** Of the classes, the batch being axis 0. */
  readonly axis: number
  readonly weight: number
}

export interface Objective {
  /** Share of the distance to the float network; the rest is the task's loss. */
  readonly distillation: number
  readonly temperature: number
  /** The task's loss and one sample's shape of the labels; undefined where there are no labels. */
  readonly task:
    | { readonly kind: "crossEntropy" | "meanSquaredError"; readonly labelShape: ReadonlyArray<number> }
    | undefined
  readonly compared: ReadonlyArray<Compared>
}

/** The network's nodes again under other names, its inputs being values of the builder; gives the outputs' names. */
const copied = (
  e: Gradient.Algebra,
  graph: Graph.Graph,
  inputs: ReadonlyMap<string, string>,
  prefix: string
): ReadonlyMap<string, string> => {
  const { builder } = e
  const names = new Map(inputs)
  for (const [name, constant] of graph.constants)
    names.set(name, builder.constant(constant, `${prefix}${name}`))
  for (const node of graph.nodes) {
    const outputs = node.outputs.map((output) => (output === "" ? "" : builder.fresh(`${prefix}${output}`)))
    node.outputs.forEach((output, i) => names.set(output, outputs[i]!))
    builder.push({
      ...node,
      name: `${prefix}${node.name}`,
      inputs: node.inputs.map((input) => (input === "" ? "" : names.get(input)!)),
      outputs
    })
  }
  return names
}

/** The value scored by classes: what goes into a Softmax that makes the output. */
const scoresBehind = (graph: Graph.Graph, output: string): string =>
  Gradient.scoredOutput({ ...graph, outputs: [output] }, "klDivergence")

/** Means over all axes but the samples'. */
const eachSample = (e: Gradient.Algebra, x: string): string =>
  e.mean(
    x,
    e.shape(x).flatMap((_, i) => (i === 0 ? [] : [i]))
  )

/** T²·KL a sample, the mean over its positions. */
export const divergence = (
  e: Gradient.Algebra,
  student: string,
  teacher: string,
  axis: number,
  temperature: number
): string => {
  const cooled = (scores: string) => e.scale(1 / temperature, scores)
  const own = e.apply("LogSoftmax", [cooled(student)], { axis })
  const reference = e.apply("LogSoftmax", [cooled(teacher)], { axis })
  const each = e.sum(e.mul(e.exp(reference), e.sub(reference, own)), [axis])
  return e.scale(temperature ** 2, eachSample(e, each))
}

const squaredDistance = (e: Gradient.Algebra, student: string, teacher: string): string => {
  const axes = e.shape(teacher).map((_, i) => i)
  const power = e.shift(e.mean(e.square(teacher), axes), 1e-12)
  return e.div(eachSample(e, e.square(e.sub(student, teacher))), power)
}

export interface Scored {
  readonly builder: GraphBuilder
  readonly e: Gradient.Algebra
  /** Loss of every sample, [batch]. */
  readonly losses: string
  /** Input for the labels; undefined where none are needed. */
  readonly target: string | undefined
}

/**
 * The student with the losses of its samples. Both networks have a fixed batch; the teacher reads the student's inputs.
 */
export const score = (
  student: Graph.Graph,
  teacher: Graph.Graph,
  { distillation, temperature, task, compared }: Objective,
  make: (graph: Graph.Graph) => GraphBuilder
): Scored => {
  const withTask = task !== undefined && distillation < 1
  const lossy = withTask ? Gradient.withLoss(student, task.kind, task.labelShape) : undefined
  const builder = make(lossy?.graph ?? student)
  const e = new Gradient.Algebra(builder, "tune/")
  const parts: Array<string> = []
  if (lossy !== undefined) parts.push(e.scale(1 - distillation, lossy.losses))
  if (distillation > 0) {
    const inputs = new Map(teacher.inputs.map(({ name }) => [name, name]))
    const values = copied(e, teacher, inputs, "float/")
    for (const { name, kind, axis, weight } of compared) {
      if (weight === 0) continue
      const own = kind === "classes" ? scoresBehind(student, name) : name
      const other = values.get(kind === "classes" ? scoresBehind(teacher, name) : name)!
      const distance =
        kind === "classes" ? divergence(e, own, other, axis, temperature) : squaredDistance(e, own, other)
      parts.push(e.scale(distillation * weight, distance))
    }
  }
  return { builder, e, losses: parts.reduce((a, b) => e.add(a, b)), target: lossy?.target }
}
