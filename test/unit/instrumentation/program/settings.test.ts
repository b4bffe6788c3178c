import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VitrineError } from "../../../../src/errors.js";
import { type ProgramSettings, readSettings } from "../../../../src/instrumentation/program/settings.js";

function on(env: NodeJS.ProcessEnv, script?: string): ProgramSettings {
  const settings = readSettings({ ENABLE_ZIPKIN_TRACING: "true", ...env }, script);
  if (settings.kind === "off") throw new Error(`off: ${settings.why}`);
  return settings;
}

const off = (env: NodeJS.ProcessEnv, script?: string) => readSettings(env, script);

describe("a program's tracing settings", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vitrine-settings-"));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it("are off without a collector, and say so unless that is meant", () => {
    assert.match((off({}) as { why: string }).why, /ENABLE_ZIPKIN_TRACING=true.*ZIPKIN_ENDPOINT/);
    const ZIPKIN_ENDPOINT = "http://z:9411";
    const meant = [{ ENABLE_ZIPKIN_TRACING: "false" }, { OTEL_SDK_DISABLED: "true" }, { OTEL_TRACES_EXPORTER: "none" }];
    for (const env of meant) assert.deepEqual(off({ ZIPKIN_ENDPOINT, ...env }), { kind: "off" });
  });

  it("leave npm and its like alone, which only start the program", () => {
    assert.deepEqual(off({ ENABLE_ZIPKIN_TRACING: "true" }, "/usr/lib/node_modules/npm/bin/npm-cli.js"), {
      kind: "off",
    });
  });

  it("send where the server would, and to the exporters that OpenTelemetry's variable names", () => {
    const endpoints = (env: NodeJS.ProcessEnv) => {
      const settings = readSettings(env, undefined);
      return settings.kind === "off" ? [] : settings.destinations.map(({ endpoint }) => endpoint);
    };
    const [zipkin, otlp] = ["http://localhost:9411/api/v2/spans", "http://localhost:4318/v1/traces"];
    assert.deepEqual(endpoints({ ENABLE_ZIPKIN_TRACING: "true" }), [zipkin]);
    assert.deepEqual(endpoints({ OTEL_TRACES_EXPORTER: "zipkin,otlp" }), [zipkin, otlp]);
    assert.deepEqual(endpoints({ OTEL_TRACES_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:1" }), [
      "http://c:1/v1/traces",
    ]);
  });

  it("read none of what belongs to the program", () => {
    assert.equal(on({ LOG_LEVEL: "chatty", VITRINE_PORT: "none", VITRINE_TRACE_SPOOL: "/nowhere" }).kind, "on");
    assert.throws(() => on({ VITRINE_SAMPLE_RATE: "7" }), VitrineError);
  });

  it("name the service as told, else as the nearest package, else as the file", () => {
    const script = join(folder, "src", "app.mjs");
    mkdirSync(join(folder, "src"));
    assert.equal(on({}, "/app.mjs").serviceName, "app");
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "@shop/answers" }));
    // A package.json that only says the type of its modules is no package.
    writeFileSync(join(folder, "src", "package.json"), JSON.stringify({ type: "module" }));
    assert.equal(on({}, script).serviceName, "@shop/answers");
    assert.equal(on({ OTEL_RESOURCE_ATTRIBUTES: "service.name=r" }, script).serviceName, "r");
    assert.equal(on({ OTEL_RESOURCE_ATTRIBUTES: "service.name=r", OTEL_SERVICE_NAME: "s" }, script).serviceName, "s");
    assert.equal(on({ OTEL_SERVICE_NAME: "s", VITRINE_SERVICE_NAME: "v" }, script).serviceName, "v");
    assert.equal(on({}).serviceName, "node");
  });

  it("have the resource without the service's name", () => {
    const OTEL_RESOURCE_ATTRIBUTES = "service.version=1%2C2, service.name=r, broken, host=%zz";
    assert.deepEqual(on({ OTEL_RESOURCE_ATTRIBUTES }).resource, { "service.version": "1,2" });
  });

  it("want all instrumentations, those listed, or all but those listed", () => {
    const wanted = (env: NodeJS.ProcessEnv) => ["http", "pino", "console"].filter(on(env).wants);
    assert.deepEqual(wanted({}), ["http", "pino", "console"]);
    assert.deepEqual(wanted({ OTEL_NODE_ENABLED_INSTRUMENTATIONS: "http, pino" }), ["http", "pino"]);
    assert.deepEqual(wanted({ OTEL_NODE_DISABLED_INSTRUMENTATIONS: "pino" }), ["http", "console"]);
  });
});
