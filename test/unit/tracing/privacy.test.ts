import assert from "node:assert/strict";
import * as conventions from "@opentelemetry/semantic-conventions/incubating";
import { ALLOWED_ATTRIBUTES, bareUrl, hasType, holdsContent } from "../../../src/tracing/privacy.js";

const names = new Set(ALLOWED_ATTRIBUTES.map(({ name }) => name));

describe("privacy", () => {
  it("lists no attribute that holds content or names a person", () => {
    const forbidden = [
      "gen_ai.prompt",
      "gen_ai.completion",
      "gen_ai.input.messages",
      "gen_ai.output.messages",
      "gen_ai.system_instructions",
      "gen_ai.tool.call.arguments",
      "gen_ai.tool.call.result",
      "gen_ai.tool.definitions",
      "gen_ai.request.stop_sequences",
      "http.request.header.authorization",
      "url.query",
      "user.id",
      "enduser.id",
      "exception.message",
    ];
    assert.deepEqual(
      forbidden.filter((name) => names.has(name)),
      [],
    );
  });

  it("uses OpenTelemetry's own names for gen_ai.*, but for the latencies that serving systems share", () => {
    const known: ReadonlySet<unknown> = new Set(
      Object.values(conventions).filter((value) => typeof value === "string"),
    );
    const ours = [...names].filter((name) => name.startsWith("gen_ai.") && !name.startsWith("gen_ai.latency."));
    assert.deepEqual(
      ours.filter((name) => !known.has(name)),
      [],
    );
  });

  it("lists each name once, few enough for a code of one byte", () => {
    assert.equal(names.size, ALLOWED_ATTRIBUTES.length);
    assert.ok(names.size <= 256);
  });

  it("knows names that hold content, whoever sets them, and no others", () => {
    const content = [
      "gen_ai.prompt",
      "gen_ai.prompt.0.content",
      "gen_ai.input.messages",
      "llm.output_messages.0.message.content",
      "input.value",
      "http.request.header.authorization",
      "http.url",
      "url.query",
      "user_agent.original",
      "db.query.text",
      "user.id",
    ];
    assert.deepEqual(
      content.filter((name) => !holdsContent(name)),
      [],
    );
    const fine = ["gen_ai.prompts", "order.id", "username", "db.system.name", "input.values", "url.path"];
    assert.deepEqual(fine.filter(holdsContent), []);
    assert.deepEqual(
      ALLOWED_ATTRIBUTES.filter(({ name }) => holdsContent(name)),
      [],
    );
  });

  it("shows addresses bare", () => {
    assert.equal(bareUrl("https://user:word@host:8443/a/b?key=1#top"), "https://host:8443/a/b");
    assert.equal(bareUrl("http://host/a@b"), "http://host/a@b");
    assert.equal(bareUrl("http://host#key"), "http://host");
  });

  it("checks types", () => {
    assert.ok(hasType("a", "string") && hasType(1, "number") && hasType(false, "boolean") && hasType(["a"], "strings"));
    assert.ok(!hasType(1, "string") && !hasType("1", "number") && !hasType(["a", 1], "strings"));
    assert.ok(!hasType(Number.POSITIVE_INFINITY, "number"));
  });
});
