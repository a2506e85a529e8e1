// Control characters steer the terminal (C0, and C1 where it knows them), format characters turn what is read around,
// line separators break lines; task and namespace names are anybody's bytes.
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/** The text with a mark in place of each character that is not shown as itself. */
export function printable(text: string): string {
  return text.replace(unprintable, '\ufffd');
}

/** One line of JSON that parses to the same value and shows nothing but itself: what is unprintable is escaped. */
export function printableJson(line: string): string {
  return line.replace(unprintable, (character) =>
    Array.from({ length: character.length }, (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  );
}
