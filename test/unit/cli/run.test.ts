import assert from "node:assert/strict";
import { programEnvironment } from "../../../src/cli/run.js";
import { VitrineError } from "../../../src/errors.js";

const REGISTER = /^(.* )?--import file:\/\/\/.*\/src\/instrumentation\/register\.js$/;

describe("the environment of vitrine run", () => {
  it("loads the register beside what NODE_OPTIONS already has", () => {
    const { NODE_OPTIONS = "" } = programEnvironment({}, { NODE_OPTIONS: "--no-warnings" });
    assert.match(NODE_OPTIONS, REGISTER);
    assert.ok(NODE_OPTIONS.startsWith("--no-warnings "));
  });

  it("has the flags as variables, and everything else as it was", () => {
    const flags = { zipkinEndpoint: "http://z:9411", sampleRate: "0.5", serviceName: "shop" };
    const { NODE_OPTIONS: _, ...found } = programEnvironment(flags, { HOME: "/h", VITRINE_SAMPLE_RATE: "1" });
    assert.deepEqual(found, {
      HOME: "/h",
      ENABLE_ZIPKIN_TRACING: "true",
      VITRINE_ZIPKIN_ENDPOINT: "http://z:9411",
      VITRINE_SAMPLE_RATE: "0.5",
      VITRINE_SERVICE_NAME: "shop",
    });
  });

  it("means Zipkin's usual address where none is given, unless tracing is switched off", () => {
    const enabled = (env: NodeJS.ProcessEnv, flags = {}) => programEnvironment(flags, env).ENABLE_ZIPKIN_TRACING;
    assert.equal(enabled({}), "true");
    assert.equal(enabled({ ZIPKIN_ENDPOINT: "http://z:1" }), undefined);
    assert.equal(enabled({}, { otlpEndpoint: "http://c:4318" }), undefined);
    assert.equal(enabled({ ENABLE_ZIPKIN_TRACING: "false" }), "false");
    assert.equal(enabled({ ENABLE_ZIPKIN_TRACING: "false" }, { zipkinEndpoint: "http://z:1" }), "true");
  });

  it("refuses what the register would not understand, before anything is started", () => {
    const wrong = [{ sampleRate: "7" }, { zipkinEndpoint: "nowhere" }, { zipkinCa: "ca.pem" }];
    for (const flags of wrong) assert.throws(() => programEnvironment(flags, {}), VitrineError);
  });
});
