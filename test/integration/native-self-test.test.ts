import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NativeError, selfTestOrt } from "../../native/ort.js";
import { temporaryFolders } from "../support/model-fixture.js";

describe("self-test of ONNX Runtime's C API", () => {
  const temporaryFolder = temporaryFolders();

  function program(text: string): { childPath: string; cacheFolder: string } {
    const folder = temporaryFolder();
    const childPath = join(folder, "child.mjs");
    writeFileSync(childPath, text);
    return { childPath, cacheFolder: join(folder, "cache") };
  }

  it("passes here, and the pass is remembered", async () => {
    const cacheFolder = join(temporaryFolder(), "cache");
    const first = await selfTestOrt({ cacheFolder });
    assert.match(first.version, /^1\.\d+/);
    assert.ok(first.providers.includes("CPUExecutionProvider"));
    assert.equal(readdirSync(cacheFolder).length, 1);
    assert.deepEqual(await selfTestOrt({ cacheFolder }), first);
  });

  it("runs again when what it tested changed", async () => {
    const options = program("process.stdout.write(JSON.stringify({ version: 'a', buildInfo: '', providers: [] }))");
    assert.equal((await selfTestOrt(options)).version, "a");
    writeFileSync(options.childPath, "process.exit(3)");
    await assert.rejects(selfTestOrt(options), /exit code 3/);
  });

  it("turns a crash of the child into an error, and remembers nothing", async () => {
    const options = program("process.kill(process.pid, 'SIGSEGV'); setInterval(() => {}, 1000);");
    for (let attempt = 0; attempt < 2; attempt++) {
      await assert.rejects(selfTestOrt(options), (thrown) => {
        assert.ok(thrown instanceof NativeError);
        assert.equal(thrown.code, "library");
        assert.match(thrown.message, /libonnxruntime.*was ended by SIGSEGV.*npm ci/s);
        return true;
      });
    }
  });

  it("passes on what the child said", async () => {
    const options = program("throw new Error('the table does not fit')");
    await assert.rejects(selfTestOrt(options), /exit code 1, saying: .*the table does not fit/s);
  });
});
