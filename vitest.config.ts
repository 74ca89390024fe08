import { defineConfig } from "vitest/config"

const packages = [
  "numerics",
  "words",
  "graph",
  "device",
  "quant",
  "runtime",
  "sensitivity",
  "train",
  "search",
  "lab",
  "page",
  "report",
  "cli",
  "bitbudget"
]

const project = (name: string, root: string, include: string) => ({
  extends: true as const,
  test: { name, root, include: [include] }
})

export default defineConfig({
  test: {
    // Whole-path tests run real networks on two cores; a timing is never an assertion.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    projects: [
      ...packages.map((name) => project(name, `packages/${name}`, "test/**/*.test.ts")),
      project("whole-path", "test", "**/*.test.ts")
    ]
  }
})
