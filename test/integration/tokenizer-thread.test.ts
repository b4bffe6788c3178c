/** The tokenizer's thread: the same ids as without it, in order, and nothing left behind by whoever gives up. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { VitrineError } from "../../src/errors.js";
import { loadChatTemplate } from "../../src/runtime/text/chat-template.js";
import { loadTokenizer } from "../../src/runtime/text/tokenizer.js";
import { TokenizerThread } from "../../src/runtime/text/tokenizer-thread.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../support/model-fixture.js";
import { byteLevelTokenizer } from "../support/tokenizer-fixture.js";

const SCRIPTED = new URL("../support/scripted-tokenizer-worker.js", import.meta.url);
const TEMPLATE = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}{% endfor %}";
const forever = (): AbortSignal => new AbortController().signal;

describe("TokenizerThread", () => {
  const folder = temporaryFolders();
  const model = (files: Parameters<typeof writeFiles>[1] = {}) =>
    writeFiles(folder(), {
      "config.json": DECODER_CONFIG,
      "tokenizer.json": byteLevelTokenizer(),
      "tokenizer_config.json": { chat_template: TEMPLATE },
      ...files,
    });
  let thread: TokenizerThread;
  const open = (directory: string, entry?: URL) => {
    thread = new TokenizerThread(directory, entry);
    return thread;
  };
  const text = (content: string, most = 1e6, signal = forever()) =>
    thread.encode({ kind: "text", text: content }, most, signal);
  /** An input that keeps the thread busy until the test lets it go. */
  const blocked = () => {
    const file = join(folder(), "gate");
    const started = async () => {
      while (!existsSync(`${file}.started`)) await pause(1);
    };
    return { text: `block ${file}`, started, release: () => writeFileSync(file, "") };
  };
  afterEach(() => thread.close());

  it("gives the ids of the tokenizer and the template", async () => {
    const directory = model();
    const tokenizer = await loadTokenizer(directory);
    open(directory);
    const prompt = "hello world 😀 你好 </s>".repeat(500);
    assert.deepEqual(await text(prompt), tokenizer.encode(prompt, { addSpecialTokens: true }));
    const messages = [{ role: "user", content: prompt }];
    const rendered = loadChatTemplate(directory)?.render(messages) ?? "";
    assert.deepEqual(
      await thread.encode({ kind: "messages", messages }, 1e6, forever()),
      tokenizer.encode(rendered, { addSpecialTokens: false }),
    );
  });

  it("says which field is too long, without encoding it to its end", async () => {
    open(model());
    const long = "hello world ".repeat(900_000);
    await assert.rejects(text(long, 1000), {
      code: "context_length_exceeded",
      message: /^`prompt` is far longer than the 1000/,
    });
    await assert.rejects(
      thread.encode({ kind: "messages", messages: [{ role: "user", content: long }] }, 1000, forever()),
      (error: VitrineError) => error.details.param === "messages",
    );
  });

  it("passes on what the template says", async () => {
    open(model({ "tokenizer_config.json": { chat_template: "{{ raise_exception('no zebras') }}" } }));
    await assert.rejects(
      thread.encode({ kind: "messages", messages: [{ role: "user", content: "x" }] }, 9, forever()),
      {
        code: "invalid_request",
        message: /refuses these messages: no zebras/,
      },
    );
  });

  it("answers in the order asked", async () => {
    open(folder(), SCRIPTED);
    const order: number[] = [];
    await Promise.all([3, 1, 2].map(async (length) => order.push((await text("x".repeat(length))).length)));
    assert.deepEqual(order, [3, 1, 2]);
  });

  it("drops what waits when its caller gives up, and goes on", async () => {
    open(folder(), SCRIPTED);
    const gate = blocked();
    const first = text(gate.text);
    const caller = new AbortController();
    const second = text("second", 9, caller.signal);
    const third = text("third");
    await gate.started();
    const reason = new VitrineError("client_closed", "gone");
    caller.abort(reason);
    await assert.rejects(second, reason);
    gate.release();
    assert.equal((await first).length, gate.text.length);
    assert.equal((await third).length, 5);
  });

  it("ends the thread of an input whose caller gives up, and takes another for the next", async () => {
    open(folder(), SCRIPTED);
    const gate = blocked();
    const caller = new AbortController();
    const first = text(gate.text, 9, caller.signal);
    const second = text("second");
    await gate.started();
    const reason = new VitrineError("request_timeout", "late");
    caller.abort(reason);
    await assert.rejects(first, reason);
    // The gate is never opened: only another thread can answer.
    assert.equal((await second).length, 6);
  });

  it("refuses at once what is given up before it is asked", async () => {
    open(folder(), SCRIPTED);
    const reason = new VitrineError("client_closed", "gone");
    await assert.rejects(text("x", 9, AbortSignal.abort(reason)), reason);
  });

  for (const [death, named] of [
    ["exit", /exit code 3/],
    ["throw", /\(Error\)/],
  ] as const) {
    it(`makes the end of the thread (${death}) the error of one request, without quoting it`, async () => {
      open(folder(), SCRIPTED);
      const dying = text(death);
      const next = text("next");
      await assert.rejects(dying, (error: VitrineError) => {
        assert.equal(error.code, "internal");
        assert.match(error.message, named);
        return !error.message.includes("zebra");
      });
      assert.equal((await next).length, 4);
    });
  }

  it("says so when the thread cannot start", async () => {
    open(folder());
    await assert.rejects(text("x"), { code: "internal", message: /thread that tokenizes long prompts ended/ });
  });

  it("holds a bounded number of inputs", async () => {
    open(folder(), SCRIPTED);
    const gate = blocked();
    const first = text(gate.text);
    const waiting = Array.from({ length: 64 }, (_, i) => text("x".repeat(i + 1)));
    await assert.rejects(text("one more"), { code: "queue_full", message: /64 long prompts wait/ });
    gate.release();
    await first;
    assert.deepEqual((await Promise.all(waiting)).map((ids) => ids.length).slice(-2), [63, 64]);
    assert.equal((await text("again")).length, 5);
  });

  it("closes with inputs running and waiting, and takes none after", async () => {
    open(folder(), SCRIPTED);
    const gate = blocked();
    const refused = [text(gate.text), text("waiting")].map((asked) => assert.rejects(asked, { code: "draining" }));
    await gate.started();
    await thread.close();
    await Promise.all(refused);
    await assert.rejects(text("late"), { code: "draining" });
  });

  it("keeps a process alive while it works, and not when it is idle", async () => {
    open(folder(), SCRIPTED);
    const module = new URL("../../src/runtime/text/tokenizer-thread.js", import.meta.url).href;
    const script = `
      const { TokenizerThread } = await import(${JSON.stringify(module)});
      const thread = new TokenizerThread("", new URL(${JSON.stringify(SCRIPTED.href)}));
      const ids = await thread.encode({ kind: "text", text: "four" }, 9, new AbortController().signal);
      process.stdout.write(String(ids.length));`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
      // Where it hangs, it must not outlive the test.
      timeout: 15_000,
    });
    let output = "";
    child.stdout.on("data", (data: Buffer) => {
      output += data.toString();
    });
    const [code] = (await once(child, "close")) as [number];
    assert.deepEqual([code, output], [0, "4"]);
  });
});
