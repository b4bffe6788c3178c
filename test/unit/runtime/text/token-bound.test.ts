import assert from "node:assert/strict";
import { leastTokensOf } from "../../../../src/runtime/text/token-bound.js";
import { loadTokenizer } from "../../../../src/runtime/text/tokenizer.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../../../support/model-fixture.js";
import { byteLevelTokenizer, sentencePieceTokenizer } from "../../../support/tokenizer-fixture.js";

type File = Record<string, unknown> & { model: Record<string, unknown>; added_tokens: object[] };

const files: [string, () => object][] = [
  ["byte-level", byteLevelTokenizer],
  ["SentencePiece", () => sentencePieceTokenizer()],
  ["Metaspace", () => sentencePieceTokenizer("metaspace")],
  ["byte-level with NFC", () => ({ ...byteLevelTokenizer(), normalizer: { type: "NFC" } })],
];

describe("leastTokens", () => {
  const folder = temporaryFolders();

  for (const [name, file] of files) {
    it(`is a bound of what ${name} makes of a text, and none of nothing`, async () => {
      const directory = writeFiles(folder(), { "config.json": DECODER_CONFIG, "tokenizer.json": file() });
      const tokenizer = await loadTokenizer(directory);
      const texts = [
        "hello world",
        " world",
        "</s>",
        "\u03B1\u0313\u0300\u0345",
        "\u1112\u1161\u11AB",
        "😀",
        "你好",
        "\uD800",
        "  ",
      ];
      for (const text of texts) {
        for (const count of [1, 7, 200]) {
          const long = text.repeat(count);
          const tokens = tokenizer.encode(long, { addSpecialTokens: false }).length;
          assert.ok(tokenizer.leastTokens(long) <= tokens, `${JSON.stringify(text)} ${count} times: ${tokens} tokens`);
        }
      }
      assert.ok(tokenizer.leastTokens("hello world".repeat(100)) > 20);
      assert.equal(tokenizer.leastTokens(""), 0);
    });
  }

  it("is the length over that of the longest token", () => {
    const file = byteLevelTokenizer() as File;
    const vocab = { ...(file.model.vocab as object), ["x".repeat(50)]: 999 };
    const least = leastTokensOf({ ...file, model: { ...file.model, vocab } });
    assert.equal(least("y".repeat(1049)), 20);
    const added = { id: 1000, content: "<|a very long added token, longer than the others here|>" };
    const other = leastTokensOf({ ...file, added_tokens: [...file.added_tokens, added] });
    assert.equal(other("y".repeat(added.content.length * 3)), 3);
  });

  it("knows nothing of a text with a token that swallows white space", () => {
    const file = byteLevelTokenizer() as File;
    const added = [...file.added_tokens, { id: 999, content: "<|end|>", rstrip: true }];
    const least = leastTokensOf({ ...file, added_tokens: added });
    assert.ok(least("y".repeat(1000)) > 0);
    assert.equal(least(`<|end|>${" ".repeat(1000)}`), 0);
  });

  const byteLevel = byteLevelTokenizer() as File;
  const { "<0x80>": _, ...missing } = (sentencePieceTokenizer() as File).model.vocab as Record<string, number>;
  const unknowing: [string, object][] = [
    ["a normalizer that drops characters", { ...byteLevel, normalizer: { type: "StripAccents" } }],
    [
      "a normalizer that collapses white space",
      { ...byteLevel, normalizer: { type: "Replace", pattern: { Regex: " +" }, content: " " } },
    ],
    [
      "a replacement that shortens",
      { ...byteLevel, normalizer: { type: "Replace", pattern: { String: "  " }, content: " " } },
    ],
    [
      "one of several such",
      { ...byteLevel, normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "Lowercase" }] } },
    ],
    [
      "a cutter that drops what it finds",
      {
        ...byteLevel,
        pre_tokenizer: {
          type: "Sequence",
          pretokenizers: [{ type: "Split", pattern: { Regex: "\\s" }, behavior: "Removed" }, byteLevel.pre_tokenizer],
        },
      },
    ],
    ["white space as the border of words", { ...byteLevel, pre_tokenizer: { type: "Whitespace" } }],
    ["words without bytes", { ...byteLevel, pre_tokenizer: null }],
    [
      "a byte without a token",
      { ...sentencePieceTokenizer(), model: { ...(sentencePieceTokenizer() as File).model, vocab: missing } },
    ],
    ["another model", { ...byteLevel, model: { ...byteLevel.model, type: "WordPiece" } }],
    ["no model", {}],
  ];
  for (const [name, file] of unknowing) {
    it(`is 0 for ${name}`, () => assert.equal(leastTokensOf(file)("y".repeat(100_000)), 0));
  }
});
