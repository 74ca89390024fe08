/**
 * Why one node cannot be read or shaped. Only thrown and caught inside this package: the boundary collects them
 * and turns them into `UnsupportedModel` or `MalformedModel`, so that all faulty nodes are listed at once.
 *
 * A plain refusal says that the file contradicts itself. `Unsupported` says that it may be right, but is beyond the
 * tables: such a node is carried as it is.
 */
export class Refusal extends Error {
  override readonly name: string = "Refusal"
}

export class Unsupported extends Refusal {
  override readonly name = "Unsupported"
}

export const refuse = (why: string): never => {
  throw new Refusal(why)
}

export const unsupported = (why: string): never => {
  throw new Unsupported(why)
}
