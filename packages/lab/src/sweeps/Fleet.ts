/** Sweeps over many machines, as the command line uses them. */
export * as CellProcess from "./CellProcess.ts"
export { follow, type Followed } from "./follow.ts"
export { layer as queue } from "./Queue.ts"
export { overview, type SweepStatus, status, type WorkerStatus } from "./Status.ts"
export {
  ATTEMPTS,
  type Change,
  change,
  drop,
  find,
  record,
  type Recording,
  retry,
  setAside,
  type SweepRow,
  type Versions
} from "./Sweeps.ts"
export { work } from "./Worker.ts"
