/** Traces, metrics and logs over OpenTelemetry, where its usual variables name a collector; nothing otherwise. */
import { Layer, Logger } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, OtlpSerialization } from "effect/observability"
import { version } from "./root.ts"

const collected = Layer.suspend(() =>
  process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] === undefined
    ? Layer.empty
    : Otlp.layerFromConfig({ resource: { serviceName: "bitbudget", serviceVersion: version } }).pipe(
        Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer]),
        Layer.orDie
      )
)

/** Logs as lines of fields on stderr, too, unless told to be quiet. */
export const telemetry = (quiet: boolean) =>
  Layer.provideMerge(
    collected,
    Logger.layer(quiet ? [] : [Logger.withConsoleError(Logger.formatLogFmt)])
  )
