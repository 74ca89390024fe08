/** Traces, metrics and logs over OpenTelemetry, where its usual variables name a collector; nothing otherwise. */
import { Layer, Logger } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, OtlpSerialization } from "effect/observability"
import { version } from "./root.ts"

const collected = Layer.suspend(() => {
  if (process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] === undefined) return Layer.empty
  // What OpenTelemetry's specification says where nothing is said; Effect exports nothing then.
  for (const signal of ["TRACES", "METRICS", "LOGS"]) process.env[`OTEL_${signal}_EXPORTER`] ??= "otlp"
  return Otlp.layerFromConfig({ resource: { serviceName: "bitbudget", serviceVersion: version } }).pipe(
    Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer])
  )
})

/** Logs as lines of fields on stderr, too, unless told to be quiet. */
export const telemetry = (quiet: boolean) =>
  Layer.provideMerge(collected, Logger.layer(quiet ? [] : [Logger.withConsoleError(Logger.formatLogFmt)]))
