import assert from "node:assert/strict";
import type { ToolCallFormat } from "../../../../src/protocol.js";
import { FALLBACK_FORMAT } from "../../../../src/runtime/text/tool-format.js";
import { joinCalls, type ToolCallDelta, ToolCallReader } from "../../../../src/server/answer/tool-call-reader.js";

const LLAMA: ToolCallFormat = {
  open: '{"name": "',
  marker: "",
  middle: '", "parameters": ',
  between: undefined,
  close: "}",
};

const MISTRAL: ToolCallFormat = {
  open: '[TOOL_CALLS] [{"name": "',
  marker: "[TOOL_CALLS]",
  middle: '", "arguments": ',
  between: '}, {"name": "',
  close: "}]",
};

/** All that a reader makes of `output` when it comes `size` characters at a time. */
function read(format: ToolCallFormat, output: string, size: number) {
  let ids = 0;
  const reader = new ToolCallReader(format, () => `id${ids++}`);
  const deltas: ToolCallDelta[] = [];
  let text = "";
  for (let at = 0; at < output.length; at += size) {
    const heard = reader.push(output.slice(at, at + size));
    text += heard.text;
    deltas.push(...heard.calls);
  }
  return { text: text + reader.flush().text, deltas, calls: joinCalls(deltas), whole: reader.calls };
}

const call = (index: number, name: string, args: string): ToolCallDelta => {
  return { index, id: `id${index}`, type: "function", function: { name, arguments: args } };
};

const twoCalls =
  'Let me see.<tool_call>\n{"name": "a", "arguments": {"x": "}</tool_call>\\""}}\n</tool_call>\n' +
  '<tool_call>\n{"name": "b", "arguments": {}}\n</tool_call>';

describe("ToolCallReader", () => {
  for (const size of [1, 2, 7, 1000]) {
    it(`tells text and calls apart, ${size} characters at a time`, () => {
      assert.deepEqual(
        { ...read(FALLBACK_FORMAT, twoCalls, size), deltas: undefined },
        {
          text: "Let me see.",
          calls: [call(0, "a", '{"x": "}</tool_call>\\""}'), call(1, "b", "{}")],
          deltas: undefined,
          whole: 2,
        },
      );
    });

    it(`reads calls in a list, ${size} characters at a time`, () => {
      const output = '[TOOL_CALLS] [{"name": "a", "arguments": {"x": [{}]}}, {"name": "b", "arguments": {}}]';
      const { text, calls } = read(MISTRAL, output, size);
      assert.deepEqual({ text, calls }, { text: "", calls: [call(0, "a", '{"x": [{}]}'), call(1, "b", "{}")] });
    });

    it(`takes plain JSON for a call at the start only, ${size} characters at a time`, () => {
      const json = '{"name": "a", "parameters": {"k":1}}';
      assert.deepEqual(read(LLAMA, json, size).calls, [call(0, "a", '{"k":1}')]);
      assert.deepEqual(read(LLAMA, `See: ${json}`, size), { text: `See: ${json}`, deltas: [], calls: [], whole: 0 });
      assert.deepEqual(read(LLAMA, '{"nam', size).text, '{"nam');
    });

    it(`gives text that only looks like a marker, ${size} characters at a time`, () => {
      const output = "a < b, <tool> and <tool_cal";
      assert.deepEqual(read(FALLBACK_FORMAT, output, size), { text: output, deltas: [], calls: [], whole: 0 });
    });
  }

  it("streams arguments as they come", () => {
    const { deltas } = read(FALLBACK_FORMAT, '<tool_call>\n{"name": "a", "arguments": {"x": 12}}\n</tool_call>', 1);
    assert.deepEqual(deltas[0], call(0, "a", ""));
    assert.deepEqual(
      deltas.slice(1, 4).map((delta) => delta.function),
      [{ arguments: "{" }, { arguments: '"' }, { arguments: "x" }],
    );
  });

  it("keeps what there is of a call that is cut off", () => {
    const { calls, whole } = read(FALLBACK_FORMAT, '<tool_call>\n{"name": "a", "arguments": {"x": 1', 3);
    assert.deepEqual(calls, [call(0, "a", '{"x": 1')]);
    assert.equal(whole, 0);
  });
});
