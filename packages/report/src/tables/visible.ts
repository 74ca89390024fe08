/**
 * Text of others (names in models, profiles, notes, messages) on a terminal: characters that command it are shown, not
 * obeyed. Left out are colours and titles (C0, C1, delete), marks that turn the direction of writing round, and ends of
 * lines that only Unicode knows.
 */

const commanding = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu
const commandingLines = /(?!\n)[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

const shown = (character: string): string => `\\u${character.codePointAt(0)!.toString(16).padStart(4, "0")}`

/** One line: ends of lines are shown too. */
export const visible = (text: string): string => text.replaceAll(commanding, shown)

/** Several lines. */
export const visibleLines = (text: string): string => text.replaceAll(commandingLines, shown)
