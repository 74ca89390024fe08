#!/usr/bin/env node
/** The installed command. */
import "./node20.ts"

await import("../../cli/src/main.ts")
