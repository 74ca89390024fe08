/**
 * docs/operators.md from the rule tables themselves: which operators are read, shaped, costed, folded and
 * differentiated. `node bench/operators.ts` writes the page; a test holds it against the tables.
 */
import { Operators } from "@bitbudget/graph"
import * as fs from "node:fs"
import * as path from "node:path"

const mark = (has: boolean): string => (has ? "yes" : "–")

const pullback = { rule: "yes", zero: "zero", missing: "–" } as const

const row = ({ name, folds, gradient }: Operators.Support): string =>
  `| ${name} | ${pullback[gradient]} | ${mark(folds)} |`

const list = (names: ReadonlyArray<string>): string =>
  [...names]
    .toSorted()
    .map((name) => `\`${name}\``)
    .join(", ")

export const page = (): string => `# Operators

Generated from the rule tables by \`node bench/operators.ts\`. Files of opset ${Operators.opsets.oldest} to ${Operators.opsets.newest} are read.

## Operators with rows of their own

Each has a rule for its attributes in every opset, for its shape and for its work. *Gradient*: "yes" has a pullback,
"zero" is constant almost everywhere or no float, "–" has none, and layers behind it are measured, not differentiated.
*Folds*: evaluated where all inputs are constant.

| operator | gradient | folds |
|---|---|---|
${Operators.support.map(row).join("\n")}

## Operators read as formulas of those

Shaped, costed, folded and differentiated by what they are made of; forms without a formula are carried.

${list(Operators.rewritten)}

## Operators carried with known shapes

Written as the file has them; their shapes, and the multiplications of products among them, are known. No gradient
passes. Some are here for forms that their own row does not cover.

${list(Operators.carried)}

## All others

Any operator of any domain is carried as the file has it, subgraphs included, if the file declares the shapes of its
results or ONNX Runtime can run it to show them. It costs the bytes it moves, and commands say so. Functions of a model
are written out; an \`If\` whose condition is known once shapes are takes its branch.
`

export const file = path.resolve(import.meta.dirname, "../docs/operators.md")

if (process.argv[1] === import.meta.filename) fs.writeFileSync(file, page())
