/**
 * What reading one file may cost. A file of a few bytes can ask for tensors of 2^50 elements or for ages of folding;
 * every loop over elements asks here first and is refused beyond what a file of its size can need.
 */
import { refuse } from "./Refusal.ts"

/** More dimensions than any network has; a list of axes as long as a weight is damage. */
export const LARGEST_RANK = 64

/** Elements folding may touch whatever the file's size: a causal mask of 2048², a few times over. */
const BASE_ELEMENTS = 1 << 24

/** How often, on average, an element of the file may be touched. */
const TOUCHES = 16

export class Budget {
  #left: number

  /** `fileElements`: elements of all constants the file itself holds. */
  constructor(fileElements: number) {
    this.#left = BASE_ELEMENTS + TOUCHES * fileElements
  }

  /** Takes `elements` off, or refuses where the file asks for more than it may. */
  spend(elements: number): void {
    this.#left -= elements
    if (!(this.#left >= 0)) refuse("computes more constant values than a file of this size can need")
  }

  /** Whether so many could still be spent. */
  allows(elements: number): boolean {
    return elements <= this.#left
  }
}
