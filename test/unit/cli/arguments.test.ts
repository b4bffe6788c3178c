import assert from "node:assert/strict";
import { Command } from "commander";
import { addOptions, configOf, normalizeArguments } from "../../../src/cli/arguments.js";
import { OPTIONS } from "../../../src/options.js";

const parse = (...argv: string[]): Record<string, unknown> => {
  const command = addOptions(new Command()).exitOverride();
  command.parse(normalizeArguments(argv), { from: "user" });
  return command.opts();
};

describe("normalizeArguments", () => {
  it("accepts underscores and --model_path, with and without =", () => {
    assert.deepEqual(normalizeArguments(["--zipkin_endpoint=http://a_b", "--model_path", "my_dir", "serve"]), [
      "--zipkin-endpoint=http://a_b",
      "--model",
      "my_dir",
      "serve",
    ]);
    assert.deepEqual(normalizeArguments(["--model_path=x=y"]), ["--model=x=y"]);
  });

  it("leaves what follows -- alone", () => {
    assert.deepEqual(normalizeArguments(["--max_queue", "1", "--", "--a_b"]), ["--max-queue", "1", "--", "--a_b"]);
  });
});

describe("addOptions", () => {
  it("gives every option with a flag its flag, and secrets none", () => {
    const help = addOptions(new Command()).helpInformation();
    for (const row of Object.values(OPTIONS)) {
      if ("flag" in row) assert.ok(help.includes(`--${row.flag} `), row.flag);
      for (const name of row.env) assert.equal(help.replace(/\s+/g, "").includes(name), "flag" in row, name);
    }
  });

  it("hands flags to the configuration", () => {
    const config = configOf(parse("--port", "0", "--zipkin_endpoint", "http://z:1", "--max-sequences=4"), {});
    assert.equal(config.port, 0);
    assert.equal(config.zipkinEndpoint, "http://z:1/api/v2/spans");
    assert.equal(config.maxSequences, 4);
    assert.equal(config.fastInt4, "on");
    assert.equal(configOf(parse("--no-fast-int4"), {}).fastInt4, "off");
    assert.equal(configOf(parse(), { VITRINE_FAST_INT4: "off" }).fastInt4, "off");
  });
});
