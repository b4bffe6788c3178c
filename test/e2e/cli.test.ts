/** The command as a user types it. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runVitrine } from "../support/vitrine-process.js";

const GENERATE = ["generate", "Once upon a time", "--max-tokens", "20", "--temperature", "0"];

describe("vitrine command", function () {
  this.timeout(60_000);

  it("generates text and draws the request's trace", async () => {
    const { code, stdout, stderr } = await runVitrine(GENERATE);
    assert.equal(code, 0, stderr);
    const [text = "", picture = ""] = stdout.split(/\n(?=trace )/);
    assert.match(text, /^Once upon a time\S* \w+/);
    assert.match(picture, /^trace [0-9a-f]{32}/);
    for (const name of ["post /v1/completions", "model.generate", "tokenize", "queue", "kv_cache.allocate", "stream"]) {
      assert.ok(picture.toLowerCase().includes(name), `no ${name} in\n${picture}`);
    }
    assert.equal(picture.split("inference.forward").length - 1, 2, `prefill and decode in\n${picture}`);
    assert.match(picture, /ai\.response\.length=20/);
    assert.match(picture, /\d ms/);
    assert.match(picture, /█/);
  });

  for (const runtime of ["native", "node"]) {
    it(`leaves nothing in the home directory (${runtime} runtime)`, async () => {
      const home = await mkdtemp(join(tmpdir(), "vitrine-home-"));
      try {
        const { code, stderr } = await runVitrine([...GENERATE, "--runtime", runtime], {
          HOME: home,
          XDG_CACHE_HOME: join(home, "cache"),
        });
        assert.equal(code, 0, stderr);
        assert.deepEqual(await readdir(home), []);
      } finally {
        await rm(home, { recursive: true });
      }
    });
  }

  it("takes the spellings of other tools", async () => {
    const { code, stderr } = await runVitrine(["generate", "Once", "--max_tokens", "2", "--model_path", "models/tiny"]);
    assert.equal(code, 0, stderr);
  });

  it("helps", async () => {
    const { code, stdout } = await runVitrine(["--help"]);
    assert.equal(code, 0);
    assert.match(stdout, /serve/);
    assert.match(stdout, /generate/);
    const serve = await runVitrine(["serve", "--help"]);
    assert.equal(serve.code, 0);
    const flags = ["model", "host", "port", "device", "dtype", "zipkin-endpoint", "propagation", "sample-rate"];
    for (const flag of flags) assert.ok(serve.stdout.includes(`--${flag} `), `no --${flag} in\n${serve.stdout}`);
  });

  const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["an unknown flag", ["serve", "--modle", "tiny"], /--modle/],
    ["an unknown command", ["sevre"], /sevre/],
    ["a port that is none", ["serve", "--port", "many"], /--port/],
    ["an unknown device", ["serve", "--device", "tpu"], /--device/],
    ["an unknown propagation", ["serve", "--propagation", "b4"], /--propagation/],
    ["a share above one", ["serve", "--sample-rate", "2"], /--sample-rate/],
    ["an endpoint that is no URL", ["serve", "--zipkin-endpoint", "zipkin"], /--zipkin-endpoint/],
    ["a token count of none", ["generate", "Once", "--max-tokens", "0"], /--max-tokens/],
    ["no prompt", ["generate"], /prompt/],
  ];
  for (const [what, args, message] of wrong) {
    it(`refuses ${what} with status 2 and says which`, async () => {
      const { code, stdout, stderr } = await runVitrine(args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
      assert.equal(stdout, "");
    });
  }

  it("names the variable when the wrong value comes from the environment", async () => {
    const { code, stderr } = await runVitrine(["serve"], { VITRINE_PORT: "many" });
    assert.equal(code, 2, stderr);
    assert.match(stderr, /VITRINE_PORT/);
  });

  it("fails with status 1 and names the directory where there is no model", async () => {
    const { code, stderr } = await runVitrine(["serve", "--port", "0", "--model", "/nowhere/model"]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /\/nowhere\/model/);
  });

  it("fails with status 1 where cuda is demanded and cannot be had", async function () {
    const { code, stderr } = await runVitrine(["generate", "Once", "--device", "cuda", "--max-tokens", "2"]);
    if (code === 0) this.skip(); // There is a GPU here, and it works.
    assert.equal(code, 1, stderr);
    assert.match(stderr, /cuda/i);
  });
});
