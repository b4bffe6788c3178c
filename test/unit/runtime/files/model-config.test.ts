import assert from "node:assert/strict";
import { readModelConfig } from "../../../../src/runtime/files/model-config.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../../../support/model-fixture.js";

describe("readModelConfig", () => {
  const folder = temporaryFolders();
  const read = (files: Parameters<typeof writeFiles>[1]) => readModelConfig(writeFiles(folder(), files));

  it("reads a Llama configuration", () => {
    assert.deepEqual(read({ "config.json": DECODER_CONFIG }), {
      architecture: "llama",
      contextLength: 64,
      ropeSwitch: undefined,
      vocabSize: 32,
      heads: 2,
      layers: undefined,
      kvHeads: 1,
      headDim: 8,
      eosTokenIds: [1],
    });
  });

  it("reads GPT-2's names, where every head has its own keys", () => {
    const config = read({
      "config.json": { model_type: "gpt2", vocab_size: 9, n_positions: 1024, n_embd: 12, n_head: 3, n_layer: 2 },
    });
    assert.deepEqual([config.contextLength, config.layers, config.kvHeads, config.headDim], [1024, 2, 3, 4]);
  });

  it("knows that a multi-query model has one head of keys", () => {
    const { num_key_value_heads: _, ...config } = DECODER_CONFIG;
    assert.equal(read({ "config.json": { ...config, multi_query: true } }).kvHeads, 1);
    assert.equal(read({ "config.json": { ...config, multi_query: false } }).kvHeads, 2);
  });

  it("prefers head_dim to hidden_size over heads", () => {
    assert.equal(read({ "config.json": { ...DECODER_CONFIG, head_dim: 128 } }).headDim, 128);
  });

  it("finds the text decoder's numbers in a multimodal configuration", () => {
    const config = read({
      "config.json": { model_type: "gemma3", eos_token_id: [1, 106], text_config: { max_position_embeddings: 8192 } },
    });
    assert.equal(config.contextLength, 8192);
    assert.deepEqual(config.eosTokenIds, [1, 106]);
  });

  it("knows from how many tokens on LongRoPE takes other factors", () => {
    const ropeSwitch = (more: object) => read({ "config.json": { ...DECODER_CONFIG, ...more } }).ropeSwitch;
    assert.equal(ropeSwitch({ original_max_position_embeddings: 32, rope_scaling: { type: "longrope" } }), 32);
    assert.equal(ropeSwitch({ original_max_position_embeddings: 32, rope_scaling: { type: "su" } }), 32);
    const newer = { rope_type: "longrope", original_max_position_embeddings: 16 };
    assert.equal(ropeSwitch({ rope_parameters: newer }), 16);
    assert.equal(ropeSwitch({ rope_scaling: { type: "longrope" } }), undefined);
    assert.equal(ropeSwitch({ original_max_position_embeddings: 64, rope_scaling: { type: "longrope" } }), undefined);
    assert.equal(
      ropeSwitch({ original_max_position_embeddings: 32, rope_scaling: { rope_type: "llama3" } }),
      undefined,
    );
  });

  it("unites the end-of-text ids of both files", () => {
    const { eosTokenIds } = read({
      "config.json": { ...DECODER_CONFIG, eos_token_id: 2 },
      "generation_config.json": { eos_token_id: [5, 2] },
    });
    assert.deepEqual(eosTokenIds, [5, 2]);
  });

  it("says that config.json is missing", () => {
    assert.throws(() => read({}), { code: "model_missing", message: /config\.json does not exist/ });
  });

  it("refuses what is not JSON, without quoting it", () => {
    assert.throws(
      () => read({ "config.json": '{"secret": ' }),
      (error: Error & { code?: string }) =>
        error.code === "model_invalid" && /is not JSON/.test(error.message) && !error.message.includes("secret"),
    );
  });

  it("names the field that has the wrong type", () => {
    assert.throws(() => read({ "config.json": { ...DECODER_CONFIG, vocab_size: "many" } }), {
      code: "model_invalid",
      message: /config\.json: vocab_size must be a number, but it is text\. Correct it, or download it again\.$/,
    });
    assert.throws(() => read({ "config.json": { ...DECODER_CONFIG, text_config: { n_head: 1.5 } } }), {
      message: /: text_config\.n_head must be a whole number, but it is 1\.5\./,
    });
    assert.throws(() => read({ "config.json": [] }), {
      code: "model_invalid",
      message: /config\.json must hold an object, but it is a list\./,
    });
  });

  it("refuses an encoder-decoder and a model without positions", () => {
    assert.throws(() => read({ "config.json": { model_type: "t5", is_encoder_decoder: true } }), {
      code: "model_unsupported",
      message: /t5 is an encoder-decoder/,
    });
    assert.throws(() => read({ "config.json": { model_type: "clip" } }), {
      code: "model_unsupported",
      message: /max_position_embeddings/,
    });
  });
});
