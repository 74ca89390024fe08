/**
 * Why one node cannot be read or shaped. Only thrown and caught inside this package: the boundary collects them
 * and turns them into `UnsupportedModel` or `MalformedModel`, so that all faulty nodes are listed at once.
 */
export class Refusal extends Error {
  override readonly name = "Refusal"
}

export const refuse = (why: string): never => {
  throw new Refusal(why)
}
