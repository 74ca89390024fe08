/**
 * Names, notes and ids come from files that anyone may have written. On a terminal their control characters would move
 * the cursor, colour or hide text, set the title; in a table they would break the row. They are shown, not obeyed.
 */

// C0, DEL and C1 controls; the marks that reorder text; the separators some terminals take for new lines.
const controls = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu

const shown: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\u001b": "\\e" }

const escape = (control: string): string =>
  shown[control] ?? `\\u${control.codePointAt(0)!.toString(16).padStart(4, "0")}`

/** One line: every control character is written out. */
export const line = (text: string): string => text.replace(controls, escape)

/** Text of several lines: as `line`, but line breaks and tabs stay. */
export const lines = (text: string): string =>
  text.replace(controls, (control) => (control === "\n" || control === "\t" ? control : escape(control)))
