/** The loss of a tuning, from what the user names, the labels and the network's outputs. */
import type { Data } from "@bitbudget/runtime"
import type { Objective } from "@bitbudget/train"
import { Effect } from "effect"
import { UnusableRequest } from "../errors.ts"
import { probabilitiesOf } from "../scores.ts"
import { type LossName, type Request, usualLoss } from "./Request.ts"

/** Images of values keep four axes; scores of samples and of tokens have two and three, classes last. */
const comparedOf = (request: Request, training: Data.Split): Objective.Objective["compared"] => {
  const { graph } = request.model
  const probabilities = probabilitiesOf(graph)
  const said = request.data.descriptor.outputs ?? {}
  return graph.outputs.map((name) => {
    const own = Object.hasOwn(said, name) ? said[name]! : undefined
    const rank = graph.values.get(name)!.shape.length
    const isScores =
      probabilities.has(name) ||
      training.labels?.kind === "classes" ||
      (training.labels === undefined && rank <= 3)
    const kind =
      own === undefined ? (isScores ? "classes" : "map") : own.kind === "classes" ? "classes" : "map"
    const stated = own?.axis ?? probabilities.get(name) ?? (rank === 4 ? 1 : rank - 1)
    return { name, kind, axis: stated < 0 ? stated + rank : stated, weight: own?.weight ?? 1 }
  })
}

export const objectiveOf = (
  request: Request,
  training: Data.Split
): Effect.Effect<{ readonly loss: LossName; readonly objective: Objective.Objective }, UnusableRequest> => {
  const { labels } = training
  const loss = request.loss ?? usualLoss
  if (loss === "task" && labels === undefined)
    return Effect.fail(
      new UnusableRequest({
        why: `${training.file}: --loss task needs labels, and these data have none: use --loss distill, which holds on to the float network's outputs`
      })
    )
  return Effect.succeed({
    loss,
    objective: {
      distillation: loss === "task" ? 0 : 1,
      temperature: request.temperature,
      task:
        labels === undefined
          ? undefined
          : {
              kind: labels.kind === "classes" ? "crossEntropy" : "meanSquaredError",
              labelShape: labels.shape
            },
      compared: comparedOf(request, training)
    }
  })
}
