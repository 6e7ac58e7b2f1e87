// Codes and numbers as people type and paste them, in ASCII digits. The server cleans them again and decides.

const SEPARATORS = /[\p{Z}\p{Pd}\p{Ps}\p{Pe}.·_/\\~]/gu;
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Me}\u{fe00}-\u{fe0f}]/gu;

// The text with the digits and plus signs of every script and form in ASCII.
export function asciiDigits(text) {
  return text.normalize("NFKC").replace(/\p{Nd}/gu, asciiDigit).replace(/\p{Pd}/gu, "-").replaceAll("\u2795", "+");
}

// Unicode's decimal digits come in runs of ten: a digit's value is its distance from the start of its run.
function asciiDigit(digit) {
  let value = 0;
  while (value < 9 && /\p{Nd}/u.test(String.fromCodePoint(digit.codePointAt(0) - value - 1))) value += 1;
  return String(value);
}

// The text without separators and invisible characters.
export const cleaned = (text) => asciiDigits(text).replace(INVISIBLE, "").replace(SEPARATORS, "");

// The code in a text, such as a whole message: the first six digits that stand alone, else six with separators between
// them. Without one, the empty text.
export function findCode(text) {
  const ascii = asciiDigits(text).replace(/\s+/g, " ").replace(INVISIBLE, "");
  const found = /(?:^|\D)(\d{6})(?!\d)/.exec(ascii) ?? /(?:^|\D)((?:\d[- .·_]?){5}\d)(?![- .·_]?\d)/.exec(ascii);
  return found ? found[1].replace(/\D/g, "") : "";
}
