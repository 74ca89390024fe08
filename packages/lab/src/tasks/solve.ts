/** `solve`: a search on the user's own tables, with whatever was asked about its answer. */
import {
  Certificate,
  Chance,
  Explain,
  Infeasibility,
  Pareto,
  Problem,
  Robust,
  Solution,
  Solver,
  verify
} from "@bitbudget/search"
import { Effect } from "effect"
import { type RequestFailure, UnusableRequest } from "../errors.ts"
import type { Compared, SolveResult, VerifyResult } from "../results/solve.ts"
import { readJson, readText, writeFile } from "../files.ts"

/** Without a number of points, how many a front has. */
export const FRONT_POINTS = 10

/** Names of the methods, the exact ones first. */
export const solveMethods = Solution.methods

export interface SolveRequest {
  readonly problem: string
  readonly method: Solution.Method
  readonly timeLimitSeconds: number | undefined
  readonly gap: number
  readonly seed: number
  /** Plans a rival may judge. */
  readonly evaluations: number | undefined
  /** Quantities, one or two, whose trade-off against the objective is wanted; none: no front. */
  readonly over: ReadonlyArray<string>
  readonly points: number | undefined
  /** Prices of budgets and neighbours of the plan. */
  readonly explain: boolean
  /** Draws of the tables' errors under which the plan is looked at; 0: none. */
  readonly draws: number
  /** Whether every method is run and tabulated. */
  readonly compare: boolean
  /** File for the certificate. */
  readonly certificate: string | undefined
}

const readProblem = (file: string) =>
  Effect.flatMap(readText(file), Problem.fromJson).pipe(
    Effect.catchTag("InvalidProblem", (error) =>
      Effect.fail(new UnusableRequest({ why: `${file}: ${error.message}` }))
    )
  )

const comparison = Effect.fnUntraced(function* (problem: Problem.Problem, options: Solver.Options) {
  const rows = yield* Effect.forEach(Solution.methods, (method) =>
    Effect.gen(function* () {
      const start = performance.now()
      const answer = yield* Effect.result(Solver.solve(problem, { ...options, method }))
      const seconds = (performance.now() - start) / 1e3
      return answer._tag === "Failure"
        ? { method, objective: null, evaluations: 0, seconds, note: answer.failure.message }
        : {
            method,
            objective: answer.success.objective,
            evaluations: answer.success.evaluations,
            seconds,
            note: answer.success.objective === null ? "the budgets cannot be met" : null
          }
    })
  )
  const best = rows.reduce((low, { objective }) => Math.min(low, objective ?? Infinity), Infinity)
  return rows.map(({ method, objective, evaluations, seconds, note }): Compared => ({
    method,
    objective,
    regret: objective === null ? null : (objective - best) / Math.max(Math.abs(best), 1e-300),
    evaluations,
    seconds,
    note
  }))
})

const check = (request: SolveRequest, problem: Problem.Problem): UnusableRequest | null => {
  const { points, over, gap, timeLimitSeconds } = request
  const names = Problem.quantitiesOf(problem).join(", ")
  if (points !== undefined && over.length === 0)
    return new UnusableRequest({ why: `--pareto needs the quantity to trade: add --over, one of ${names}` })
  if (over.length > 2)
    return new UnusableRequest({ why: `--over names ${over.length} quantities; give one or two of ${names}` })
  if (gap < 0) return new UnusableRequest({ why: `--gap ${gap} is negative; give 0 or more, such as 0.01` })
  if (timeLimitSeconds !== undefined && timeLimitSeconds < 0)
    return new UnusableRequest({ why: `--time-limit ${timeLimitSeconds} is negative; give seconds` })
  return null
}

/** Writes the certificate of the problem and looks at it with the verifier. */
const certified = Effect.fnUntraced(function* (
  problem: Problem.Problem,
  file: string,
  options: Solver.Options
) {
  const certificate = yield* Certificate.certify(problem, options)
  yield* writeFile(file, `${JSON.stringify(certificate)}\n`)
  const { proved } = verify(problem, certificate)
  return { file, bound: certificate.bound, proved: Number.isFinite(proved) ? proved : null }
})

export const solveProblem = Effect.fn("solve")(function* (
  request: SolveRequest
): Effect.fn.Return<SolveResult, RequestFailure> {
  const began = performance.now()
  const problem = yield* readProblem(request.problem)
  const fault = check(request, problem)
  if (fault !== null) return yield* fault
  // Reading counts: the limit is what the user waits.
  const spent = (performance.now() - began) / 1e3
  const { timeLimitSeconds: limit } = request
  const options: Solver.Options = {
    method: request.method,
    gap: request.gap,
    seed: request.seed,
    ...(request.evaluations === undefined ? {} : { evaluations: request.evaluations }),
    ...(limit === undefined ? {} : { timeLimitSeconds: Math.max(0, limit - spent) })
  }
  const solution = yield* Solver.solve(problem, options)
  if (solution.status === "infeasible")
    return { ...solution, explanation: yield* Infeasibility.explainInfeasible(problem, options) }
  // What is asked about the plan is answered by the exact search, whatever found it.
  const { method: _, evaluations: __, ...exact } = options
  const [first, second] = request.over
  const points = request.points ?? FRONT_POINTS
  const front =
    first !== undefined && second === undefined ? yield* Pareto.pareto(problem, first, points, exact) : null
  const knee = front === null ? null : Pareto.kneeOf(front)
  const chances = Chance.sample(problem, solution.choice, { seed: request.seed })
  return {
    ...solution,
    ...(front === null ? {} : { front, knee: knee === null ? null : front.indexOf(knee) }),
    ...(first === undefined || second === undefined
      ? {}
      : { frontOverTwo: yield* Pareto.paretoOverTwo(problem, [first, second], points, exact) }),
    ...(request.explain ? { why: yield* Explain.explain(problem, solution, exact) } : {}),
    ...(request.draws > 0
      ? { robustness: yield* Robust.robustness(problem, solution, { ...exact, draws: request.draws }) }
      : {}),
    ...(chances.length > 0 ? { chances } : {}),
    ...(request.compare ? { comparison: yield* comparison(problem, options) } : {}),
    ...(request.certificate === undefined
      ? {}
      : { certificate: yield* certified(problem, request.certificate, exact) })
  }
})

/** Checks a certificate against the tables, without the solver. */
export const verifyCertificate = Effect.fn("verify")(function* (request: {
  readonly problem: string
  readonly certificate: string
}): Effect.fn.Return<VerifyResult, RequestFailure> {
  const problem = yield* readProblem(request.problem)
  const certificate = yield* Effect.fromResult(Certificate.decode(yield* readJson(request.certificate))).pipe(
    Effect.mapError(
      ({ faults }) => new UnusableRequest({ why: `${request.certificate}: ${faults[0]!.message}` })
    )
  )
  const { confirmed, proved, nodes, faults } = verify(problem, certificate)
  return {
    confirmed,
    claimed: certificate.bound,
    proved: Number.isFinite(proved) ? proved : null,
    minimise: certificate.minimise,
    nodes,
    faults
  }
})
