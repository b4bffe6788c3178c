import assert from "node:assert/strict";
import { ERRORS, type ErrorCode, VitrineError } from "../../../src/errors.js";
import { errorBody, framesOf, retryAfter, toVitrineError } from "../../../src/server/error-response.js";

const withCode = (code: string): Error => Object.assign(new Error("a secret message"), { code });

describe("error responses", () => {
  it("have OpenAI's shape for every error of the table", () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const { error } = errorBody({ code, message: "m" });
      assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
      assert.equal(error.code, code === "invalid_request" ? null : code);
      assert.equal(error.type, ERRORS[code].type);
      assert.equal(error.param, null);
    }
    assert.equal(errorBody({ code: "invalid_request", message: "m", param: "n" }).error.param, "n");
  });

  it("tell Fastify's errors apart", () => {
    const table: readonly (readonly [string, ErrorCode])[] = [
      ["FST_ERR_CTP_BODY_TOO_LARGE", "request_too_large"],
      ["FST_ERR_CTP_INVALID_MEDIA_TYPE", "unsupported_media_type"],
      ["FST_ERR_CTP_INVALID_CONTENT_LENGTH", "invalid_request"],
      ["FST_ERR_BAD_URL", "invalid_request"],
      ["ECONNRESET", "client_closed"],
      ["ANYTHING_ELSE", "internal"],
    ];
    for (const [thrown, code] of table) {
      const error = toVitrineError(withCode(thrown));
      assert.equal(error.code, code, thrown);
      assert.ok(!error.message.includes("secret"), "others' messages stay inside");
    }
    const own = new VitrineError("draining", "m");
    assert.equal(toVitrineError(own), own);
    assert.equal(toVitrineError("text").code, "internal");
  });

  it("say when to try again where that helps", () => {
    const waits = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => retryAfter(new VitrineError(code, "m")));
    const want = ["draining", "engine_lost", "engine_not_ready", "key_limit_reached", "out_of_memory", "queue_full"];
    assert.deepEqual(waits.sort(), want);
    assert.equal(retryAfter(new VitrineError("queue_full", "m", { retryAfterSeconds: 7 })), 7);
  });

  it("log an unforeseen error's stack without its message", () => {
    const frames = framesOf(new TypeError("line one\nsecret line"));
    assert.ok(frames?.startsWith("TypeError\n    at "));
    assert.ok(!frames?.includes("secret"));
    assert.equal(framesOf("secret"), undefined);
  });
});
