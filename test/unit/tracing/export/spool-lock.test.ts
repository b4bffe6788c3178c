import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { claimSpool } from "../../../../src/tracing/export/spool-lock.js";

describe("the spool's lock", () => {
  let root: string;
  let directory: string;
  let lock: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "vitrine-spool-"));
    directory = join(root, "zipkin");
    lock = join(directory, "lock");
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** A lock file as some process left it. */
  function left(content: (own: string) => string): void {
    rmSync(directory, { recursive: true, force: true });
    claimSpool(directory);
    writeFileSync(lock, content(readFileSync(lock, "utf8")));
  }

  const held = (by: RegExp) => ({
    code: "config_invalid",
    message: new RegExp(
      `^--trace-spool: .*zipkin is in use by ${by.source}; give each process a directory of its own, or remove .*lock if that process is gone\\.$`,
    ),
  });

  it("keeps a directory to one process, until it is given up", () => {
    const release = claimSpool(directory);
    assert.throws(() => claimSpool(directory), held(new RegExp(`process ${process.pid}`)));
    release();
    assert.deepEqual(readdirSync(directory), []);
    claimSpool(directory)();
  });

  it("is taken over from a process that is gone", () => {
    const { pid } = spawnSync(process.execPath, ["--version"]);
    left((own) => own.replace(/^\d+/, String(pid)));
    const release = claimSpool(directory);
    assert.equal(readFileSync(lock, "utf8").split(" ")[0], String(process.pid));
    release();
    assert.deepEqual(readdirSync(directory), [], "nothing of the old one is left");
  });

  it("is taken over where the process's id has gone to another one", function () {
    if (!existsSync("/proc/self/stat")) return this.skip();
    left((own) => own.replace(/ \S+ /, " another-boot/1 "));
    assert.doesNotThrow(claimSpool(directory));
  });

  it("is left alone where nobody can tell whether its process lives", () => {
    left((own) => own.replace(hostname(), "elsewhere"));
    assert.throws(() => claimSpool(directory), held(/process \d+ of elsewhere/));
    left(() => "");
    assert.throws(() => claimSpool(directory), held(/a process that did not write its name/));
  });

  it("is not given up by one that no longer has it", () => {
    const release = claimSpool(directory);
    writeFileSync(lock, "1 another-boot/1 elsewhere\n");
    release();
    assert.ok(existsSync(lock));
  });

  it("is readable by its user alone, as is the directory", () => {
    claimSpool(directory);
    const mode = (path: string) => statSync(path).mode & 0o777;
    assert.deepEqual([mode(directory), mode(lock)], [0o700, 0o600]);
  });

  it("says at start where spans cannot be kept", () => {
    writeFileSync(join(root, "file"), "");
    assert.throws(() => claimSpool(join(root, "file", "below")), {
      code: "config_invalid",
      message: /^--trace-spool: .*file\/below cannot be written to, a part of its path is no folder\.$/,
    });
  });

  it("makes what is missing above it", () => {
    claimSpool(join(root, "a", "b"))();
    assert.equal(statSync(join(root, "a", "b")).mode & 0o777, 0o700);
  });

  it("says so, too, where the file system takes no folders at all", function () {
    if (!existsSync("/proc/self/stat")) return this.skip();
    const file = new URL("../../../../src/tracing/export/spool-lock.js", import.meta.url).href;
    const script = `import(${JSON.stringify(file)}).then(({ claimSpool }) => claimSpool("/proc/spans/zipkin"))`;
    // In a process of its own: where it fails, it does by never coming back.
    const { signal, stderr } = spawnSync(process.execPath, ["-e", script], { timeout: 20_000, encoding: "utf8" });
    assert.equal(signal, null, "it came back");
    assert.match(stderr, /--trace-spool: \/proc\/spans\/zipkin cannot be written to/);
  });
});
