/** Certificates: what is claimed is confirmed, what is tampered with is not. */
import { Effect } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Certificate, verify, type Problem } from "../src/index.ts"
import { bruteForce, problems } from "./instances.ts"

const certify = (problem: Problem.Problem) => Effect.runPromise(Certificate.certify(problem))

describe("certificates", () => {
  it("300 problems with ties of both kinds: confirmed, and never above the truth", async () => {
    await fc.assert(
      fc.asyncProperty(problems({ maxGroups: 6, transitions: false, agreements: true }), async (problem) => {
        const best = bruteForce(problem)
        const certificate = await certify(problem)
        const again = JSON.parse(JSON.stringify(certificate)) as unknown
        const decoded = Certificate.decode(again)
        expect(decoded._tag).toBe("Success")
        const verdict = verify(problem, certificate)
        expect(verdict.faults).toEqual([])
        expect(verdict.confirmed).toBe(true)
        if (best === null) expect(certificate.bound).toBeNull()
        else expect(certificate.bound).toBeGreaterThanOrEqual(best - 1e-7 * Math.max(1e-9, Math.abs(best)))
      }),
      { seed: 41, numRuns: 300 }
    )
  })

  it("what a tree proves is true, whatever is claimed and whatever its multipliers", async () => {
    await fc.assert(
      fc.asyncProperty(
        problems({ maxGroups: 5, transitions: true, agreements: true }),
        fc.double({ min: 0.2, max: 3, noNaN: true }),
        async (problem, factor) => {
          const best = bruteForce(problem)
          const certificate = await certify(problem)
          const bent = (tree: Certificate.Tree): Certificate.Tree => ({
            ...tree,
            prices: Object.fromEntries(
              Object.entries(tree.prices).map(([name, price]) => [name, price * factor])
            ),
            ...(tree.children === undefined
              ? {}
              : { children: tree.children.map((child) => (child === null ? null : bent(child))) })
          })
          const bound = certificate.bound === null ? null : certificate.bound * factor
          for (const tree of [certificate.tree, bent(certificate.tree)]) {
            const { proved } = verify(problem, { ...certificate, bound, tree })
            if (best !== null) expect(proved).toBeLessThanOrEqual(best + 1e-9 * Math.max(1, Math.abs(best)))
          }
        }
      ),
      { seed: 42, numRuns: 200 }
    )
  })

  it("a raised claim, another's tables and cut trees are not confirmed", async () => {
    const groups = ["a", "b", "c"].map((id, g) => ({
      id,
      choices: [2, 4, 8].map((bits) => ({
        id: `w${bits}`,
        loss: (g + 1) / bits,
        costs: { sizeBytes: bits * (3 - g) }
      }))
    }))
    const problem = { groups, budgets: { sizeBytes: 23 } }
    const certificate = await certify(problem)
    expect(verify(problem, certificate).confirmed).toBe(true)
    expect(verify(problem, { ...certificate, bound: certificate.bound! * 1.01 }).confirmed).toBe(false)
    expect(verify({ ...problem, budgets: { sizeBytes: 40 } }, certificate).confirmed).toBe(false)
    const renamed = { ...problem, groups: groups.map(({ id, choices }) => ({ id: `x${id}`, choices })) }
    expect(verify(renamed, certificate).faults).toContain('group "a"')
    expect(Certificate.decode({ version: 2 })._tag).toBe("Failure")
  })

  it("a tree cut short proves less, and says how much", async () => {
    const at = (...keys: ReadonlyArray<number>) => Math.abs(Math.sin(keys.reduce((a, b) => 31 * a + b, 7)))
    const groups = Array.from({ length: 16 }, (_, g) => ({
      id: `g${g}`,
      choices: [0, 1, 2, 3, 4].map((c) => ({
        id: `c${c}`,
        loss: at(g, c, 0),
        costs: { latencyMs: at(g, c, 1), sizeBytes: at(g, c, 2) }
      }))
    }))
    const problem = { groups, budgets: { latencyMs: 10, sizeBytes: 10 } }
    const certificate = await certify(problem)
    const whole = verify(problem, certificate)
    expect(whole.confirmed).toBe(true)
    expect(whole.nodes).toBeGreaterThan(3)
    const cut = verify(problem, { ...certificate, tree: { prices: certificate.tree.prices } })
    expect(cut.confirmed).toBe(false)
    expect(cut.proved).toBeLessThan(certificate.bound!)
    expect(cut.proved).toBeGreaterThan(0.5 * certificate.bound!)
  })
})
