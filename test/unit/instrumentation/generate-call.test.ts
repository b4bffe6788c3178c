import assert from "node:assert/strict";
import { readGenerateCall } from "../../../src/instrumentation/generate-call.js";
import { ids } from "../../support/fake-transformers.js";

const GREEDY = { generation_config: { do_sample: false, temperature: 0.7, top_k: 50 } };

describe("readGenerateCall", () => {
  it("reads the one object of versions 3 and later", () => {
    const { attributes, limit, task } = readGenerateCall(GREEDY, [
      { input_ids: ids(1, 6), generation_config: { max_new_tokens: 5, do_sample: true }, temperature: 0.2, top_p: 0.9 },
    ]);
    assert.equal(limit, 5);
    assert.equal(task, "text-generation");
    assert.equal(attributes["gen_ai.operation.name"], "text_completion");
    assert.equal(attributes["ai.prompt.length"], 6);
    assert.equal(attributes["ai.temperature"], 0.2);
    assert.equal(attributes["ai.top_k"], 50);
    assert.equal(attributes["gen_ai.request.top_p"], 0.9);
    assert.equal(attributes["ai.top_p"], undefined, "the library does not use it");
    assert.equal(attributes["gen_ai.request.stream"], false);
  });

  it("reads the arguments of version 2, ids in a tensor or in lists", () => {
    const mask = { dims: [2, 3], data: [1, 1, 1, 0, 1, 1] };
    const callback_function = () => {};
    const config = { max_new_tokens: 7, callback_function };
    const tensor = readGenerateCall(GREEDY, [ids(2, 3), config, null, { inputs_attention_mask: mask }]);
    assert.equal(tensor.attributes["ai.prompt.length"], 5);
    assert.equal(tensor.attributes["ai.batch.size"], 2);
    assert.equal(tensor.attributes["gen_ai.request.stream"], true);
    assert.equal(tensor.limit, undefined, "two sequences may end for two reasons");
    const lists = readGenerateCall({}, [[[1, 2, 3, 4]], null]);
    assert.equal(lists.attributes["ai.prompt.length"], 4);
  });

  it("takes the likeliest token for temperature 0, whatever is configured", () => {
    const { attributes } = readGenerateCall(GREEDY, [{ input_ids: ids(1, 2) }]);
    assert.equal(attributes["ai.temperature"], 0);
    assert.equal(attributes["ai.top_k"], undefined);
  });

  it("counts the prompt towards max_length, and an encoder's not", () => {
    assert.equal(readGenerateCall({}, [{ input_ids: ids(1, 6), max_length: 16 }]).limit, 10);
    assert.equal(readGenerateCall({}, [{ input_ids: ids(1, 6) }]).limit, 14, "the library's own limit is 20");
    assert.equal(readGenerateCall({}, [{ input_ids: ids(1, 30), max_length: 16 }]).limit, 0);
    const encoder = { config: { is_encoder_decoder: true } };
    assert.equal(readGenerateCall(encoder, [{ input_ids: ids(1, 6), max_length: 16 }]).limit, 15);
  });

  it("knows no reason for the end where beams compete", () => {
    assert.equal(readGenerateCall({}, [{ input_ids: ids(1, 6), num_beams: 4, max_new_tokens: 3 }]).limit, undefined);
  });

  it("takes sound and pictures for no prompt of tokens", () => {
    const sound = { type: "float32", dims: [1, 80, 3000] };
    for (const args of [[{ inputs: sound }], [sound, null]]) {
      const { attributes, task } = readGenerateCall({}, args);
      assert.equal(attributes["ai.prompt.length"], undefined);
      assert.equal(task, undefined);
      assert.equal(attributes["gen_ai.operation.name"], "generate_content");
    }
    const pixel_values = { type: "float32", dims: [1, 3, 3, 28, 56] };
    const { attributes } = readGenerateCall({}, [{ input_ids: ids(1, 9), pixel_values, image_grid_thw: ids(2, 3) }]);
    assert.equal(attributes["ai.num_images"], 2);
    const tiles = readGenerateCall({}, [{ input_ids: ids(1, 9), pixel_values }]).attributes;
    assert.deepEqual([tiles["ai.num_images"], tiles["ai.image_resolution"]], [3, "56x28"]);
  });
});
