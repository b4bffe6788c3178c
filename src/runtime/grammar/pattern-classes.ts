import { CodePoints } from "./code-points.js";

/** The character classes of ECMA-262, section 22.2.2.9. */
const DIGIT = new CodePoints([[0x30, 0x39]]);
const WORD = new CodePoints([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
const LINE_END = CodePoints.of("\n\r\u2028\u2029");
const SPACE = CodePoints.of("\t\v\f \u00a0\u1680\u202f\u205f\u3000\ufeff")
  .union(new CodePoints([[0x2000, 0x200a]]))
  .union(LINE_END);

export const NOT_LINE_END = LINE_END.complement();

/** What a letter after a backslash stands for, if it is a class. */
export const CLASS_ESCAPES: Readonly<Record<string, CodePoints>> = {
  d: DIGIT,
  D: DIGIT.complement(),
  w: WORD,
  W: WORD.complement(),
  s: SPACE,
  S: SPACE.complement(),
};

/** What a letter after a backslash stands for, if it is one character. */
export const CHARACTER_ESCAPES: Readonly<Record<string, number>> = {
  t: 0x09,
  n: 0x0a,
  v: 0x0b,
  f: 0x0c,
  r: 0x0d,
  "0": 0,
};
