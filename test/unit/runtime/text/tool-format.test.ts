import assert from "node:assert/strict";
import type { Tool } from "../../../../src/runtime/text/chat-message.js";
import { type ChatTemplate, loadChatTemplate } from "../../../../src/runtime/text/chat-template.js";
import { FALLBACK_FORMAT } from "../../../../src/runtime/text/tool-format.js";
import { temporaryFolders, writeFiles } from "../../../support/model-fixture.js";

/** Mistral's shape: calls in a list with ids of nine characters, after a special token. */
const MISTRAL =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}" +
  "{% if tools is not none %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}[INST] {{ m.content }}[/INST]" +
  "{% elif m.tool_calls is defined %}[TOOL_CALLS] [{% for c in m.tool_calls %}" +
  "{% if c.id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}" +
  '{{ \'{"name": "\' + c.function.name + \'", "arguments": \' + c.function.arguments | tojson + \', "id": "\' + c.id + \'"}\' }}' +
  "{% if not loop.last %}, {% endif %}{% endfor %}]{{ eos_token }}" +
  "{% elif m.role == 'tool' %}[TOOL_RESULTS] {{ m.content }} {{ m.tool_call_id }}[/TOOL_RESULTS]" +
  "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";

/** Llama 3's shape: one call a turn, as bare JSON. */
const LLAMA =
  "{% for m in messages %}<|start|>{{ m.role }}<|end|>\n{% if loop.first and tools is not none %}{{ tools | tojson }}{% endif %}" +
  "{% if m.tool_calls is defined %}{% if m.tool_calls | length != 1 %}{{ raise_exception('one call a turn') }}{% endif %}" +
  "{% set f = m.tool_calls[0].function %}{{ '{\"name\": \"' + f.name + '\", \"parameters\": ' + f.arguments | tojson + '}' }}" +
  "{% else %}{{ m.content }}{% endif %}<|eot|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant<|end|>\n{% endif %}";

/** Knows no tools. */
const PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:";

/** Shows tools, and drops calls. */
const FORGETFUL = `{% if tools %}{{ tools | tojson }}{% endif %}${PLAIN}`;

const TOOL: Tool = {
  type: "function",
  function: { name: "look", description: "Looks.", parameters: { type: "object", properties: {} } },
};

describe("tool formats of chat templates", () => {
  const folder = temporaryFolders();
  const template = (chat_template: string): ChatTemplate => {
    const config = { chat_template, bos_token: "<s>", eos_token: "</s>" };
    const found = loadChatTemplate(writeFiles(folder(), { "tokenizer_config.json": config }));
    assert.ok(found);
    return found;
  };
  const called = {
    role: "assistant",
    content: "",
    tool_calls: [{ id: "call_1", type: "function", function: { name: "look", arguments: '{"at": "x"}' } }],
  } as const;
  const answered = { role: "tool", content: "seen", tool_call_id: "call_1" };
  const asked = { role: "user", content: "Hi" };

  it("learns Hermes' and Qwen's", () => {
    const qwen = loadChatTemplate("test/fixtures/chat-templates/qwen2.5");
    assert.deepEqual(qwen?.toolFormat, FALLBACK_FORMAT);
  });

  it("learns Mistral's, without its ids", () => {
    assert.deepEqual(template(MISTRAL).toolFormat, {
      open: '[TOOL_CALLS] [{"name": "',
      marker: "[TOOL_CALLS]",
      middle: '", "arguments": ',
      between: '}, {"name": "',
      close: "}]",
    });
  });

  it("learns Llama's, with one call a turn", () => {
    assert.deepEqual(template(LLAMA).toolFormat, {
      open: '{"name": "',
      marker: "",
      middle: '", "parameters": ',
      between: undefined,
      close: "}",
    });
  });

  it("gives a template its tools, arguments as an object, and ids in a form that all take", () => {
    const text = template(MISTRAL).render([asked, called, answered], [TOOL]);
    assert.match(text, /^<s>\[AVAILABLE_TOOLS\] \[\{"type": "function", "function": \{"name": "look"/);
    const id = /"arguments": \{"at": "x"\}, "id": "(\w{9})"\}\]/.exec(text)?.[1];
    assert.ok(id);
    assert.ok(text.includes(`seen ${id}[/TOOL_RESULTS]`));
  });

  for (const [name, source] of Object.entries({ "knows no tools": PLAIN, "drops calls": FORGETFUL })) {
    it(`explains tools in the system message to a template that ${name}`, () => {
      const own = template(source);
      assert.deepEqual(own.toolFormat, FALLBACK_FORMAT);
      const text = own.render([{ role: "system", content: "Be brief." }, asked, called, answered], [TOOL]);
      assert.match(text, /^system: Be brief\.\n\nYou can call these functions/);
      assert.ok(text.includes('{"name":"look","description":"Looks.","parameters":'));
      assert.ok(text.includes('assistant: <tool_call>\n{"name": "look", "arguments": {"at": "x"}}\n</tool_call>\n'));
      assert.ok(text.endsWith("user: <tool_response>\nseen\n</tool_response>\nassistant:"));
    });
  }

  it("leaves prompts without tools alone", () => {
    assert.equal(template(FORGETFUL).render([asked]), "user: Hi\nassistant:");
  });
});
