/**
 * The open nodes of the tree: which to search next, and what all of them still promise.
 *
 * Dive, then jump: the better child of the last node goes first, so that answers come early; when a dive
 * ends, the node with the least bound is next, so that the proven bound rises and no node is searched that
 * the optimum would have pruned. Waiting nodes take memory: past a limit, children wait on the dive instead
 * (depth first), which needs only one path.
 */
export interface Waiting {
  readonly bound: number
  /** How much it takes to keep, in choices. */
  readonly size: number
}

/** About 200 MB of subproblems. */
const maxStored = 4e6

export class Frontier<Node extends Waiting> {
  /** Binary heap by bound; equal bounds in order of arrival. */
  readonly #heap: Array<{ readonly node: Node; readonly arrival: number }> = []
  readonly #dive: Array<Node> = []
  #arrivals = 0
  #stored = 0

  /** `better` is searched next; the other child when its bound's turn comes. */
  branch(better: Node | null, other: Node | null): void {
    if (other !== null) {
      if (this.#stored + other.size > maxStored || better === null) this.#dive.push(other)
      else this.#wait(other)
    }
    if (better !== null) this.#dive.push(better)
  }

  next(): Node | undefined {
    return this.#dive.pop() ?? this.#least()
  }

  /** The least bound of all open nodes; +Infinity if there are none. */
  bound(): number {
    return this.#dive.reduce((low, { bound }) => Math.min(low, bound), this.#heap[0]?.node.bound ?? Infinity)
  }

  #before(i: number, j: number): boolean {
    const a = this.#heap[i]!
    const b = this.#heap[j]!
    return a.node.bound < b.node.bound || (a.node.bound === b.node.bound && a.arrival < b.arrival)
  }

  #swap(i: number, j: number): void {
    const kept = this.#heap[i]!
    this.#heap[i] = this.#heap[j]!
    this.#heap[j] = kept
  }

  #wait(node: Node): void {
    this.#stored += node.size
    let i = this.#heap.push({ node, arrival: this.#arrivals++ }) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!this.#before(i, parent)) break
      this.#swap(i, parent)
      i = parent
    }
  }

  #least(): Node | undefined {
    const heap = this.#heap
    const top = heap[0]
    if (top === undefined) return undefined
    this.#stored -= top.node.size
    const last = heap.pop()!
    if (heap.length === 0) return top.node
    heap[0] = last
    for (let i = 0; ;) {
      let least = i
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < heap.length && this.#before(child, least)) least = child
      if (least === i) return top.node
      this.#swap(i, least)
      i = least
    }
  }
}
