/** Templates in the prompt formats of seventeen model families, rendered as Hugging Face transformers rendered them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { VitrineError } from "../../src/errors.js";
import type { ChatMessage } from "../../src/runtime/text/chat-message.js";
import { type ChatTemplate, loadChatTemplate } from "../../src/runtime/text/chat-template.js";
import { PACKAGE_ROOT } from "../support/vitrine-process.js";

/** What test/fixtures/chat-templates/make.py recorded. */
interface Recorded {
  /** The clock that templates read with `strftime_now`, without a time zone. */
  readonly now: string;
  readonly conversations: Readonly<Record<string, readonly ChatMessage[]>>;
  readonly rendered: Readonly<Record<string, Readonly<Record<string, { text: string } | { error: string }>>>>;
}

/**
 * Where @huggingface/jinja renders otherwise than Jinja2 does. Each has to differ still: once it does not, its entry
 * here is to go.
 */
const DIFFERENCES: readonly { readonly reason: string; readonly cases: RegExp }[] = [
  {
    reason: "its strip() and trim take JavaScript's white space, not Python's",
    cases: /^(command-r|gemma2|gemma3|llama2|llama3|mistral|vicuna): separators around$/,
  },
  {
    reason: "its strip() and trim take a byte order mark for white space",
    cases: /^(command-r|gemma2|gemma3|llama2|llama3|vicuna): byte order mark$/,
  },
  {
    reason: "its lstrip() ignores the characters it is given",
    cases: /^smollm3: (white space around|other white space)$/,
  },
  { reason: "an empty text equals false there", cases: /^(command-r|llama2): empty contents$/ },
];

const ROOT = join(PACKAGE_ROOT, "test/fixtures/chat-templates");
const recorded = JSON.parse(readFileSync(join(ROOT, "rendered.json"), "utf8")) as Recorded;

describe("chat templates", () => {
  const RealDate = Date;

  before(() => {
    globalThis.Date = class extends RealDate {
      constructor() {
        super(recorded.now);
      }
    } as DateConstructor;
  });
  after(() => {
    globalThis.Date = RealDate;
  });

  for (const [family, conversations] of Object.entries(recorded.rendered)) {
    describe(family, () => {
      let template: ChatTemplate;
      before(() => {
        const loaded = loadChatTemplate(join(ROOT, family));
        assert.ok(loaded);
        template = loaded;
      });

      for (const [name, expected] of Object.entries(conversations)) {
        const messages = recorded.conversations[name] ?? [];
        const different = DIFFERENCES.find(({ cases }) => cases.test(`${family}: ${name}`));
        if ("error" in expected) {
          it(`refuses: ${name}`, () => assertRefused(() => template.render(messages), expected.error));
        } else if (different !== undefined) {
          it(`still differs: ${name} (${different.reason})`, () =>
            assert.notEqual(template.render(messages), expected.text));
        } else {
          it(`renders: ${name}`, () => assert.equal(template.render(messages), expected.text));
        }
      }
    });
  }
});

/** A reason that stands in the template as it is has to reach the caller. */
function assertRefused(render: () => string, error: string): void {
  const reason = error.replace(/^TemplateError: /, "").replace(/ \d+$/, "");
  assert.throws(render, (thrown) => {
    assert.ok(thrown instanceof VitrineError);
    assert.equal(thrown.code, "invalid_request");
    if (!/ \d+$/.test(error)) assert.match(thrown.message, new RegExp(`: ${reason.replace(/[.*+?]/g, "\\$&")}$`));
    return true;
  });
}
