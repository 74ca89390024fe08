/** Where a store is: a file, or the address of a PostgreSQL database. */

export const isAddress = (file: string): boolean => /^postgres(ql)?:\/\//i.test(file)

/** As it may be shown and stored: the password is left out, wherever an address has it. */
export const withoutPassword = (text: string): string =>
  text
    .replaceAll(/(postgres(?:ql)?:\/\/[^\s:/@]*):[^\s/]*@/gi, "$1@")
    .replaceAll(/(postgres(?:ql)?:\/\/[^\s?]*\?[^\s]*?\bpassword=)[^&\s]*/gi, "$1…")
