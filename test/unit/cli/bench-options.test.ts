import assert from "node:assert/strict";
import { benchSettings } from "../../../src/cli/bench-options.js";
import { commandLine } from "../../../src/cli/bench-origin.js";
import { benchPlan } from "../../../src/cli/bench-plan.js";

const URL_FLAG = { url: "http://127.0.0.1:8080" };
const settings = (flags: Record<string, unknown> = {}, env: NodeJS.ProcessEnv = {}) =>
  benchSettings({ ...URL_FLAG, ...flags }, env);
const planned = async (flags: Record<string, unknown>) => (await benchPlan(settings(flags)))("m");

describe("options of vitrine bench", () => {
  it("read lists, ramps, limits and durations with and without a unit", () => {
    assert.deepEqual(settings({ concurrency: "1,4,16" }).concurrency, [1, 4, 16]);
    assert.deepEqual(settings({ rate: "0.5,1..20" }).rate, [{ to: 0.5 }, { from: 1, to: 20 }]);
    assert.deepEqual(settings({ slo: ["ttft:200ms", "TPOT:50ms"] }).slo, [
      { metric: "ttft", limitMs: 200 },
      { metric: "tpot", limitMs: 50 },
    ]);
    assert.deepEqual([settings({ duration: "30" }).duration, settings({ duration: "1m" }).duration], [30_000, 60_000]);
    assert.deepEqual(settings({ propagation: "none" }).propagation, []);
    assert.deepEqual(settings({ ab: "zipkin-encoder=json,otel" }).ab, {
      flag: "zipkin-encoder",
      base: "json",
      variant: "otel",
    });
  });

  it("of an A/B run have two values, and a switch is on or off", () => {
    for (const ab of ["tracing", "threads=1", "tracing=no,yes", "no-fast-int4=true,off"]) {
      assert.throws(() => settings({ ab }), { code: "config_invalid", message: /^--ab: .*tracing=off,on/ });
    }
  });

  it("name the tokenizer that is not there", async () => {
    await assert.rejects(
      planned({ tokenizer: "absent" }),
      /^VitrineError: --tokenizer: There is no directory .*absent/,
    );
  });

  it("are refused by name", () => {
    for (const [flag, value] of [
      ["concurrency", "0"],
      ["rate", "1..2..3"],
      ["rate", "0"],
      ["slo", "speed:1s"],
      ["slo", "ttft:200"],
      ["body", "[1]"],
      ["ab", "tracing=on"],
      ["cancel-rate", "1.5"],
      ["prompt-tokens", "many"],
      ["url", "localhost:8080"],
    ] as const) {
      const name = flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
      assert.throws(() => settings({ [name]: value }), { code: "config_invalid", message: new RegExp(`^--${flag}: `) });
    }
  });

  it("do not repeat a key in a message or in the command", () => {
    assert.equal(settings({}, { OPENAI_API_KEY: "sk-secret" }).apiKey, "sk-secret");
    const shown = commandLine([
      "bench",
      "--api-key",
      "sk-secret",
      "--api-key=sk-secret",
      "--url",
      "http://me:pw@host/v1",
    ]);
    assert.equal(shown, "vitrine bench --api-key … --api-key=… --url http://host/v1");
    assert.equal(commandLine(["bench", "--body", `{"a": "it's"}`]), `vitrine bench --body '{"a": "it'\\''s"}'`);
  });

  it("become loads: closed, open with their gaps, ramps", async () => {
    assert.deepEqual((await planned({})).loads, [{ kind: "closed", concurrency: 1 }]);
    assert.deepEqual((await planned({ rate: "5", burstiness: "0.5" })).loads, [
      { kind: "open", arrivals: "gamma", perSecond: 5, burstiness: 0.5 },
    ]);
    assert.deepEqual((await planned({ rate: "1..9", arrivals: "constant" })).loads, [
      { kind: "open", arrivals: "ramp", perSecond: 9, fromPerSecond: 1 },
    ]);
  });

  it("have a limit and repeats of their own where none are given", async () => {
    const plan = await planned({});
    assert.deepEqual([plan.limit, plan.repeats, plan.warmup], [{ kind: "requests", count: 100 }, 1, 1]);
    assert.equal((await planned({ ab: "tracing=off,on" })).repeats, 4);
    assert.deepEqual((await planned({ duration: "5" })).limit, { kind: "duration", ms: 5_000 });
  });

  it("cannot contradict each other", async () => {
    for (const [flags, message] of [
      [{ rate: "1", concurrency: "1" }, /choose one kind of load/],
      [{ requests: "1", duration: "1" }, /choose one/],
      [{ maxConcurrency: "4" }, /needs --rate or --replay/],
      [{ stream: false, slo: ["ttft:1s"] }, /not known with --no-stream/],
    ] as const) {
      await assert.rejects(planned(flags), { code: "config_invalid", message });
    }
  });
});
