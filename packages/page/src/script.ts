/** The page's scripts as text. In a checkout they are bundled when they are asked for; a built package has them inside. */
import { build } from "rolldown"
import { fileURLToPath } from "node:url"

export type Name = "report" | "dashboard"

export const script = async (name: Name): Promise<string> => {
  const { output } = await build({
    input: fileURLToPath(new URL(`browser/${name}.ts`, import.meta.url)),
    platform: "browser",
    write: false,
    output: { format: "esm", minify: true, codeSplitting: false }
  })
  return output[0].code
}
