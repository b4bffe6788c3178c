import assert from "node:assert/strict";
import { loadTokenizer, type Tokenizer } from "../../../../src/runtime/text/tokenizer.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../../../support/model-fixture.js";
import { byteLevelTokenizer, sentencePieceTokenizer } from "../../../support/tokenizer-fixture.js";

const folder = temporaryFolders();
const TOKENIZER_CONFIG = { bos_token: "<s>", eos_token: { content: "</s>" }, clean_up_tokenization_spaces: true };

function load(tokenizer: object, more: Parameters<typeof writeFiles>[1] = {}): Promise<Tokenizer> {
  const files = { "config.json": DECODER_CONFIG, "tokenizer_config.json": TOKENIZER_CONFIG };
  return loadTokenizer(writeFiles(folder(), { ...files, "tokenizer.json": tokenizer, ...more }));
}

const STYLES = [
  { style: "byte-level", build: () => byteLevelTokenizer(), firstByte: 2 },
  { style: "SentencePiece", build: () => sentencePieceTokenizer("sequence"), firstByte: 3 },
  { style: "Metaspace", build: () => sentencePieceTokenizer("metaspace"), firstByte: 3 },
];

function streamed(tokenizer: Tokenizer, ids: Iterable<number>, prompt?: Int32Array): string[] {
  const stream = tokenizer.stream(prompt);
  return [...Array.from(ids, (id) => stream.push(id)), stream.flush()];
}

for (const { style, build, firstByte } of STYLES) {
  describe(`tokenizer, ${style}`, () => {
    let tokenizer: Tokenizer;
    before(async () => {
      tokenizer = await load(build());
    });
    const bytesOf = (text: string) => [...Buffer.from(text)].map((byte) => firstByte + byte);
    const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });

    const texts = ["hello world", "hello, world.", "  hello   world ", "naïve 中文 😀 👩‍👩‍👧\n\thello", "a", " ", "é"];
    for (const text of texts) {
      it(`gives back ${JSON.stringify(text)}, whole and streamed`, () => {
        const ids = encode(text);
        assert.ok(ids instanceof Int32Array && ids.length > 0);
        // With Metaspace a text and the same text after a space are one: so it is in Hugging Face's tokenizers.
        const expected = style === "Metaspace" ? text.replace(/^ /, "") : text;
        assert.equal(tokenizer.decode([...ids]), expected);
        assert.equal(streamed(tokenizer, ids).join(""), expected);
      });
    }

    it("knows each token's own bytes", () => {
      const text = "hello, naïve 中😀";
      const written = Buffer.concat([...encode(text)].map((id) => tokenizer.bytesOf(id))).toString();
      assert.equal(written, style === "byte-level" ? text : ` ${text}`);
      assert.deepEqual(
        bytesOf("é").map((id) => [...tokenizer.bytesOf(id)]),
        [[0xc3], [0xa9]],
      );
      assert.equal(Buffer.from(tokenizer.bytesOf(1)).toString(), firstByte === 2 ? "</s>" : "<s>");
      assert.equal(tokenizer.bytesOf(99_999).length, 0);
    });

    it("adds the beginning-of-text token only when asked", () => {
      const bos = firstByte === 2 ? 0 : 1;
      const plain = encode("hello");
      assert.deepEqual([...tokenizer.encode("hello", { addSpecialTokens: true })], [bos, ...plain]);
      assert.ok(!plain.includes(bos));
    });

    it("encodes nothing as nothing", () => {
      assert.equal(encode("").length, 0);
      assert.equal(tokenizer.decode([]), "");
      assert.deepEqual(streamed(tokenizer, []), [""]);
    });

    it("never gives out half a character", () => {
      const pieces = streamed(tokenizer, bytesOf("é中😀"));
      assert.deepEqual(pieces, ["", "é", "", "", "中", "", "", "", "😀", ""]);
    });

    it("leaves special tokens out, in the middle and at the end", () => {
      const [bos, eos] = firstByte === 2 ? [0, 1] : [1, 2];
      const ids = [bos, ...encode("hello"), eos, ...encode("hello").slice(-1), eos];
      assert.equal(streamed(tokenizer, ids).join(""), tokenizer.decode(ids));
      assert.ok(!tokenizer.decode(ids).includes("<"));
    });

    it("gives a cut-off character out at the end, as a replacement character", () => {
      assert.deepEqual(streamed(tokenizer, bytesOf("a😀").slice(0, -1)), ["a", "", "", "", "\uFFFD"]);
    });

    it("gives nothing for tokens that end within a character, then all of it", () => {
      const pieces = streamed(tokenizer, [...bytesOf("a中"), ...bytesOf("😀").slice(0, 3), ...bytesOf("b")]);
      assert.deepEqual(pieces.slice(0, 4), ["a", "", "", "中"]);
      // Three bytes of four are no character, once another one follows.
      assert.deepEqual(pieces.slice(4, 7), ["", "", ""]);
      assert.match(pieces.slice(7).join(""), /^\uFFFD+b$/);
    });

    it("does not let a special token cut a character in two", () => {
      const special = firstByte === 2 ? 1 : 2;
      const ids = bytesOf("x😀中").flatMap((id) => [id, special]);
      assert.equal(streamed(tokenizer, ids).join(""), "x😀中");
    });

    it("streams CJK, emoji of several characters and flags as they are", () => {
      for (const text of ["你好，世界。今日は", "👩‍👩‍👧👍🏽🇩🇪", "한국어 텍스트", "ਪੰਜਾਬੀ", "\u0301combining e\u0301"]) {
        const pieces = streamed(tokenizer, encode(text));
        assert.equal(pieces.join(""), text);
        for (const piece of pieces) assert.ok(!piece.includes("\uFFFD"), `${text}: ${JSON.stringify(piece)}`);
      }
    });

    it("writes added tokens that are not special, between words and within characters", async () => {
      const file = build() as { added_tokens: object[] };
      const id = tokenizer.vocabSize;
      const added = {
        id,
        content: "<tool>",
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: false,
      };
      const other = await load({ ...file, added_tokens: [...file.added_tokens, added] });
      const parts = [
        encode("hello"),
        [id],
        encode(" world"),
        [id, id],
        bytesOf("😀"),
        [id],
        bytesOf("é").slice(0, 1),
        [id],
        bytesOf("z"),
      ];
      const ids = parts.flatMap((part) => [...part]);
      assert.equal(streamed(other, ids).join(""), other.decode(ids));
      assert.equal(other.decode(ids).split("<tool>").length, 6);
      assert.ok(other.decode(ids).includes("<tool><tool>😀<tool>"));
      assert.deepEqual(
        [...other.encode("hello<tool>hello", { addSpecialTokens: false })].filter((one) => one === id),
        [id],
      );
    });

    it("keeps every space between words, and drops the first of a text at most", () => {
      const text = "hello   world  hello ";
      const prompt = encode("hello");
      assert.equal(streamed(tokenizer, encode(text)).join(""), text);
      const continued = streamed(tokenizer, encode(" world  hello"), prompt).join("");
      assert.equal(continued.trimStart(), "world  hello");
      assert.ok(continued.startsWith(" "));
    });

    it("keeps going after bytes that are no text", () => {
      const ids = [...Array<number>(40).fill(firstByte + 0xff), ...bytesOf("ok")];
      assert.equal(streamed(tokenizer, ids).join(""), tokenizer.decode(ids));
      assert.equal(streamed(tokenizer, ids).at(-2), "k");
    });

    it("streams any ids to the text they decode to", () => {
      let state = 1;
      const next = (below: number) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
      };
      for (let round = 0; round < 300; round++) {
        const ids = Array.from({ length: next(40) }, () => next(tokenizer.vocabSize + 3));
        assert.equal(streamed(tokenizer, ids).join(""), tokenizer.decode(ids), `ids ${ids.join(" ")}`);
      }
    });

    it("has a decoder of its own for each output", () => {
      const [one, two] = [tokenizer.stream(), tokenizer.stream()];
      const [lead, last] = bytesOf("é");
      assert.equal(one.push(lead as number), "");
      assert.equal(two.push(bytesOf("x")[0] as number), "x");
      assert.equal(one.push(last as number), "é");
    });

    it("does not fail on odd text", () => {
      assert.equal(tokenizer.decode([...encode("a\uD800b")]), "a\uFFFDb");
      assert.equal(tokenizer.decode([...encode("\uDC00\uD83D")]), "\uFFFD\uFFFD");
      for (const odd of ["\u0000", "\uFFFF\u202E", "<s></s>", "\uFEFFx", "x".repeat(2000)]) encode(odd);
    });

    it("decodes a window, not the whole output, for each token", () => {
      const stream = tokenizer.stream();
      const [id] = bytesOf("a");
      const hub = (tokenizer as unknown as { hub: { decode(ids: number[]): string } }).hub;
      const original = hub.decode;
      let longest = 0;
      hub.decode = function (ids: number[], ...rest: []) {
        longest = Math.max(longest, ids.length);
        return original.call(this, ids, ...rest);
      };
      for (let i = 0; i < 500; i++) stream.push(id as number);
      hub.decode = original;
      assert.ok(longest > 0 && longest <= 8, `decoded ${longest} tokens at once`);
    });
  });
}

describe("tokenizer, spaces", () => {
  for (const decoder of ["sequence", "metaspace"] as const) {
    it(`keeps the space between prompt and output (${decoder})`, async () => {
      const tokenizer = await load(sentencePieceTokenizer(decoder));
      const prompt = tokenizer.encode("hello", { addSpecialTokens: true });
      const world = tokenizer.encode("world", { addSpecialTokens: false });
      assert.equal(streamed(tokenizer, world, prompt).join(""), " world");
      assert.equal(streamed(tokenizer, world).join(""), "world");
    });
  }

  it("does not tidy spaces before punctuation, whatever the configuration says", async () => {
    const tokenizer = await load(byteLevelTokenizer());
    const ids = tokenizer.encode("hello , world .", { addSpecialTokens: false });
    assert.equal(tokenizer.decode([...ids]), "hello , world .");
  });
});

describe("loadTokenizer", () => {
  it("gathers the end-of-text ids of all three files", async () => {
    const tokenizer = await load(byteLevelTokenizer(), {
      "config.json": { ...DECODER_CONFIG, eos_token_id: 7 },
      "generation_config.json": { eos_token_id: [8, 7] },
    });
    assert.deepEqual(tokenizer.eosTokenIds, [8, 7, 1]);
    assert.equal(
      tokenizer.vocabSize,
      Object.keys((byteLevelTokenizer() as { model: { vocab: object } }).model.vocab).length,
    );
  });

  it("does without tokenizer_config.json", async () => {
    const directory = writeFiles(folder(), { "config.json": DECODER_CONFIG, "tokenizer.json": byteLevelTokenizer() });
    assert.deepEqual((await loadTokenizer(directory)).eosTokenIds, [1]);
  });

  it("says what is missing or damaged", async () => {
    const directory = writeFiles(folder(), { "config.json": DECODER_CONFIG });
    await assert.rejects(loadTokenizer(directory), {
      code: "model_missing",
      message: /tokenizer\.json does not exist/,
    });
    await assert.rejects(load("{" as unknown as object), { code: "model_invalid", message: /is not JSON/ });
    await assert.rejects(load({ added_tokens: [] }), {
      code: "model_invalid",
      message: /tokenizer\.json: model must be an object, but it is missing/,
    });
    await assert.rejects(load({ model: { type: "Sorcery" } }), {
      code: "model_invalid",
      message: /can be loaded \(.*Sorcery.*\)\. Download it again/,
    });
  });
});
