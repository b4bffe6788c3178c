/** Small tokenizers in the two styles of the hub, each with all 256 bytes and a few whole words. */

/** GPT-2's map of bytes to printable characters. */
function byteCharacters(): string[] {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

const special = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** Merges that build each word from its first two pieces on. */
function mergesOf(words: readonly string[], pieces: Map<string, number>): [string, string][] {
  const merges: [string, string][] = [];
  for (const word of words) {
    const [first = "", ...rest] = [...word];
    let left = first;
    for (const right of rest) {
      if (!pieces.has(left + right)) {
        pieces.set(left + right, pieces.size);
        merges.push([left, right]);
      }
      left += right;
    }
  }
  return merges;
}

function vocabulary(...pieces: readonly string[]): Map<string, number> {
  return new Map(pieces.map((piece, id) => [piece, id]));
}

/** Byte-level BPE, as GPT-2, Llama 3 and Qwen have it. Ids 0 and 1 are `<s>` and `</s>`; byte b is 2 + b. */
export function byteLevelTokenizer(): object {
  const pieces = vocabulary("<s>", "</s>", ...byteCharacters());
  const merges = mergesOf(["hello", "Ġworld", "ĠðŁĺĢ"], pieces);
  return {
    version: "1.0",
    added_tokens: [special(0, "<s>"), special(1, "</s>")],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: bosFirst(),
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: "BPE", vocab: Object.fromEntries(pieces), merges, ignore_merges: false },
  };
}

/**
 * SentencePiece-style BPE with byte fallback, as Llama 2, Mistral and Gemma have it. Ids 0 to 2 are `<unk>`, `<s>`
 * and `</s>`; byte b is 3 + b. `decoder` is the style of old (`sequence`) or newer (`metaspace`) files.
 */
export function sentencePieceTokenizer(decoder: "sequence" | "metaspace" = "sequence"): object {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const pieces = vocabulary("<unk>", "<s>", "</s>", ...bytes, "▁", ..."helowrd,.");
  const merges = mergesOf(["▁hello", "▁world"], pieces);
  return {
    version: "1.0",
    added_tokens: [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
    ...(decoder === "sequence" ? SEQUENCE_STYLE : METASPACE_STYLE),
    post_processor: bosFirst(),
    model: {
      type: "BPE",
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces),
      merges,
      ignore_merges: false,
    },
  };
}

const SEQUENCE_STYLE = {
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: null,
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
};

const METASPACE_STYLE = {
  normalizer: null,
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
  decoder: {
    type: "Sequence",
    decoders: [{ type: "ByteFallback" }, { type: "Metaspace", replacement: "▁", prepend_scheme: "first" }],
  },
};

function bosFirst(): object {
  return {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: { "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] } },
  };
}
