import assert from "node:assert/strict";
import { checkVariants } from "../../../src/cli/bench-variants.js";

describe("flags of an A/B run's servers", () => {
  const setting = { entry: "main.js", flags: ["--max_sequences", "4"], env: {}, zipkinEndpoint: "http://zipkin:9411" };
  const check = (flag: string, base: string, variant: string, more = {}) =>
    checkVariants({ flag, base, variant }, { ...setting, ...more });
  const refused = (message: RegExp) => ({ code: "config_invalid", message });

  it("are what vitrine serve takes", () => {
    assert.doesNotThrow(() => check("tracing", "off", "on"));
    assert.doesNotThrow(() => check("no-fast-int4", "off", "on"));
    assert.doesNotThrow(() => check("threads", "1", "2", { flags: ["--model=tiny"] }));
  });

  it("are refused before anything is started, with the variant they are in", () => {
    assert.throws(() => check("foo", "1", "2"), refused(/^--ab foo=1: unknown option '--foo' \(vitrine serve --help/));
    assert.throws(() => check("thread", "1", "2"), refused(/^--ab thread=1: .*Did you mean --threads\?/s));
    assert.throws(() => check("threads", "1", "many"), refused(/^--ab threads=many: --threads: .*got "many"\.$/));
  });

  it("are told from those of both, and from the environment's", () => {
    const more = { flags: ["--modle", "tiny"] };
    assert.throws(() => check("threads", "1", "many", more), refused(/^both servers: unknown option '--modle'/));
    const env = { VITRINE_PORT: "many" };
    assert.throws(() => check("threads", "1", "2", { env }), refused(/^both servers: VITRINE_PORT: /));
  });
});
