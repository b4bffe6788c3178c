/** The command as a user types it. */
import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PACKAGE_ROOT, runVitrine } from "../support/vitrine-process.js";

const TINY = join(PACKAGE_ROOT, "models/tiny");
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

  it("ends generate itself, and does not wait for the process to come to its end", async () => {
    const watch = `process.on("beforeExit",()=>process.stderr.write("natural"))`;
    const watched = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(watch)}` };
    const [told, failed, helped] = await Promise.all([
      runVitrine(GENERATE, watched),
      runVitrine(["generate", "Once", "--model", "/nowhere"], watched),
      runVitrine(["--help"], watched),
    ]);
    assert.deepEqual([told.code, failed.code], [0, 1]);
    assert.match(told.stdout, /ai\.response\.length=20/);
    assert.match(failed.stderr, /^vitrine: .*\/nowhere/);
    assert.doesNotMatch(told.stderr + failed.stderr, /natural/);
    assert.match(helped.stderr, /natural/, "nothing is watched");
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

  it("begins no text where the prompt is refused", async () => {
    const { code, stdout, stderr } = await runVitrine(["generate", "Once", "--max-tokens", "99999"]);
    assert.deepEqual([code, stdout], [1, ""], stderr);
    assert.match(stderr, /^vitrine: The prompt has \d+ tokens/);
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

  it("takes a prompt without quotes", async () => {
    const { code, stdout, stderr } = await runVitrine(["generate", "Once", "upon", "a", "time", ...GENERATE.slice(2)]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Once upon a time/);
  });

  it("names the mistake in a model directory, and nothing that only follows from it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "vitrine-model-"));
    try {
      const config = JSON.parse(await readFile(join(TINY, "config.json"), "utf8")) as object;
      await writeFile(join(directory, "config.json"), JSON.stringify({ ...config, vocab_size: "many" }));
      const wrongField = await runVitrine(["serve", "--port", "0", "--model", directory]);
      assert.equal(wrongField.code, 1);
      assert.match(wrongField.stderr, /^vitrine: \S+config\.json: vocab_size must be a number, but it is text\./);
      await writeFile(join(directory, "config.json"), JSON.stringify(config));
      const noTokenizer = await runVitrine(["serve", "--port", "0", "--model", directory]);
      assert.equal(noTokenizer.code, 1);
      assert.match(noTokenizer.stderr, /tokenizer\.json does not exist/);
      assert.ok(!noTokenizer.stderr.includes("failed to start"), noTokenizer.stderr);
      const aFile = await runVitrine(["serve", "--port", "0", "--model", join(directory, "config.json")]);
      assert.match(aFile.stderr, /config\.json is a file; give the model's directory/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("warns of a config.json that contradicts the graph, with both numbers", async () => {
    const directory = await mkdtemp(join(tmpdir(), "vitrine-model-"));
    try {
      await cp(TINY, directory, { recursive: true });
      const config = JSON.parse(await readFile(join(TINY, "config.json"), "utf8")) as { num_hidden_layers: number };
      const layers = config.num_hidden_layers;
      await writeFile(join(directory, "config.json"), JSON.stringify({ ...config, num_hidden_layers: layers + 16 }));
      const { code, stderr } = await runVitrine(["generate", "Once", "--max-tokens", "2", "--model", directory], {
        LOG_LEVEL: "warn",
      });
      assert.equal(code, 0, stderr);
      assert.ok(stderr.includes(`num_hidden_layers ${layers + 16}, the graph has ${layers}`), stderr);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it("starts where nothing can be remembered", async () => {
    // mkdir below it answers ENOENT, again and again.
    const { code, stderr } = await runVitrine([...GENERATE, "--runtime", "native"], { TMPDIR: "/proc" });
    assert.equal(code, 0, stderr);
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
