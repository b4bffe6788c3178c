import { z } from "zod";

interface Step {
  readonly type?: string | undefined;
  readonly behavior?: string | undefined;
  readonly pattern?: { readonly String?: string | undefined } | undefined;
  readonly content?: string | undefined;
  readonly parts: readonly Step[];
}

const step: z.ZodType<Step> = z.lazy(() =>
  z
    .object({
      type: z.string().optional(),
      behavior: z.string().optional(),
      pattern: z.object({ String: z.string().optional() }).optional().catch(undefined),
      content: z.string().optional(),
      normalizers: z.array(step).optional(),
      pretokenizers: z.array(step).optional(),
    })
    .transform(({ normalizers, pretokenizers, ...rest }) => ({ ...rest, parts: normalizers ?? pretokenizers ?? [] })),
);

const boundable = z.object({
  model: z.object({
    type: z.literal("BPE"),
    // Checked by the tokenizer already; entry by entry it would take longer than the rest of loading.
    vocab: z.custom<Readonly<Record<string, number>>>((vocab) => typeof vocab === "object" && vocab !== null),
    byte_fallback: z.boolean().nullish(),
  }),
  added_tokens: z.array(
    z.object({ content: z.string(), lstrip: z.boolean().optional(), rstrip: z.boolean().optional() }),
  ),
  normalizer: step.nullable(),
  pre_tokenizer: step.nullable(),
});
type Boundable = z.output<typeof boundable>;

/** Canonical composition makes at most four UTF-16 units one (U+1F82). https://unicode.org/faq/normalization.html */
const NFC_SHRINKS = 4;

/** At least how many tokens a text has. */
export type LeastTokens = (text: string) => number;

/**
 * A lower bound for a tokenizer, from its file: a text's length over the longest token's. It takes no time, and holds
 * where no character can get lost before the model: in byte-level BPE and BPE with byte fallback, with the normalizers
 * that such files have. Of other tokenizers nothing is known: the bound is 0.
 */
export function leastTokensOf(file: unknown): LeastTokens {
  const { data } = boundable.safeParse(file);
  const shrinks = data === undefined || !losesNothing(data) ? undefined : shrinkOf(data.normalizer);
  if (data === undefined || shrinks === undefined) return () => 0;
  const contents = data.added_tokens.map(({ content }) => content);
  const longest = [...Object.keys(data.model.vocab), ...contents].reduce(
    (most, { length }) => Math.max(most, length),
    1,
  );
  // They swallow the white space beside them, however much there is.
  const greedy = data.added_tokens.filter((token) => token.lstrip || token.rstrip).map(({ content }) => content);
  return (text) => (greedy.some((token) => text.includes(token)) ? 0 : Math.floor(text.length / (longest * shrinks)));
}

/** Every byte has a token, and the text is only cut, so that no part of it is dropped or taken for an unknown. */
function losesNothing({ model, pre_tokenizer: cutter }: Boundable): boolean {
  const steps = cutter === null ? [] : flat(cutter);
  const cuts = steps.every(
    ({ type, behavior }) =>
      ["ByteLevel", "Digits", "Metaspace"].includes(type ?? "") || (type === "Split" && behavior !== "Removed"),
  );
  if (!cuts) return false;
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const fallback = bytes.every((byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>` in model.vocab);
  if (model.byte_fallback && fallback) return true;
  return steps.some(({ type }) => type === "ByteLevel") && byteCharacters().every((one) => one in model.vocab);
}

/** How many UTF-16 units a normalizer may make one; undefined where there is no saying. */
function shrinkOf(normalizer: Step | null): number | undefined {
  let shrinks = 1;
  for (const { type, pattern, content } of normalizer === null ? [] : flat(normalizer)) {
    if (type === "NFC") shrinks *= NFC_SHRINKS;
    else if (type === "Replace" && pattern?.String !== undefined && content !== undefined) {
      if (content.length < pattern.String.length) return undefined;
    } else if (type !== "Prepend") return undefined;
  }
  return shrinks;
}

function flat(step: Step): Step[] {
  return step.type === "Sequence" ? step.parts.flatMap(flat) : [step];
}

/** GPT-2's names for the 256 bytes: printable ones as they are, the others from U+0100 on. */
function byteCharacters(): string[] {
  const printable = (byte: number): boolean => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}
