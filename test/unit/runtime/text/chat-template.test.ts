import assert from "node:assert/strict";
import { type ChatTemplate, loadChatTemplate } from "../../../../src/runtime/text/chat-template.js";
import { temporaryFolders, writeFiles } from "../../../support/model-fixture.js";

const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Llama 2's shape: refuses roles out of turn, and needs the special tokens. */
const ALTERNATING =
  "{{ bos_token }}{% for message in messages %}" +
  "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}" +
  "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}" +
  "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}" +
  "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}";

describe("loadChatTemplate", () => {
  const folder = temporaryFolders();
  const load = (files: Parameters<typeof writeFiles>[1]) => loadChatTemplate(writeFiles(folder(), files));
  const inConfig = (chat_template: unknown): ChatTemplate => {
    const config = { chat_template, bos_token: "<s>", eos_token: { content: "</s>", special: true } };
    const template = load({ "tokenizer_config.json": config });
    assert.ok(template);
    return template;
  };
  const user = (content: string) => ({ role: "user", content });

  it("renders ChatML with the generation prompt", () => {
    assert.equal(
      inConfig(CHATML).render([{ role: "system", content: "Be brief." }, user("Hi")]),
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    );
  });

  it("gives the template its special tokens, as text or as objects", () => {
    const messages = [user(" Hi "), { role: "assistant", content: "Hello" }, user("Bye")];
    assert.equal(inConfig(ALTERNATING).render(messages), "<s>[INST] Hi [/INST] Hello</s>[INST] Bye [/INST]");
  });

  it("passes tools as none, and the date functions", () => {
    const template = inConfig("{% if tools is none %}no tools{% endif %} {{ strftime_now('%Y') | length }}");
    assert.equal(template.render([user("x")]), "no tools 4");
  });

  it("turns raise_exception into invalid_request with the template's reason", () => {
    assert.throws(() => inConfig(ALTERNATING).render([{ role: "assistant", content: "secret" }]), {
      code: "invalid_request",
      message: /refuses these messages: Conversation roles must alternate user\/assistant$/,
      details: { param: "messages" },
    });
  });

  it("keeps content out of a reason that a template builds from it", () => {
    const template = inConfig("{{ raise_exception('I cannot take ' + messages[0]['content']) }}");
    assert.throws(
      () => template.render([user("my secret")]),
      (error: Error & { code?: string }) => error.code === "invalid_request" && !error.message.includes("secret"),
    );
  });

  it("refuses messages that an expression of the template does not suit, without the content", () => {
    assert.throws(
      () => inConfig("{{ messages[0]['content'].nothing.at.all() }}").render([user("my secret")]),
      (error: Error & { code?: string }) => error.code === "invalid_request" && !error.message.includes("secret"),
    );
  });

  it("takes the default of several named templates", () => {
    const named = [
      { name: "tool_use", template: "tools" },
      { name: "default", template: "plain" },
    ];
    assert.equal(inConfig(named).render([]), "plain");
    assert.equal(load({ "tokenizer_config.json": { chat_template: named.slice(0, 1) } }), undefined);
  });

  it("prefers chat_template.jinja, then chat_template.json", () => {
    const files = {
      "tokenizer_config.json": { chat_template: "config" },
      "chat_template.json": { chat_template: "json" },
    };
    assert.equal(load(files)?.render([]), "json");
    assert.equal(load({ ...files, "chat_template.jinja": "jinja {{ eos_token }}" })?.render([]), "jinja ");
  });

  it("is undefined for a model without one", () => {
    assert.equal(load({}), undefined);
    assert.equal(load({ "tokenizer_config.json": { chat_template: null } }), undefined);
  });

  it("refuses a template that cannot be parsed", () => {
    assert.throws(() => inConfig("{% for x in %}"), { code: "model_invalid", message: /cannot be parsed/ });
  });
});
