import assert from "node:assert/strict";
import { loadConfig, loadSome, unknownVariables } from "../../src/config.js";
import { VitrineError } from "../../src/errors.js";

const fails = (run: () => unknown, ...parts: RegExp[]): void => {
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof VitrineError);
    assert.equal(error.code, "config_invalid");
    for (const part of parts) assert.match(error.message, part);
    return true;
  });
};

describe("loadConfig", () => {
  it("has defaults that serve the shipped model on loopback without a collector", () => {
    const config = loadConfig({}, {});
    assert.equal(config.model, "tiny");
    assert.equal(config.host, "127.0.0.1");
    assert.equal(config.port, 8080);
    assert.equal(config.zipkinEndpoint, undefined);
    assert.equal(config.requestTimeout, 300_000);
    assert.ok(Object.isFrozen(config));
  });

  it("lets a flag beat the environment, and the environment the default", () => {
    assert.equal(loadConfig({ port: "1" }, { VITRINE_PORT: "2" }).port, 1);
    assert.equal(loadConfig({}, { VITRINE_PORT: "2" }).port, 2);
    assert.equal(loadConfig({}, { VITRINE_PORT: "" }).port, 8080);
  });

  it("takes the first environment name that is set", () => {
    const env = { OTEL_SERVICE_NAME: "b", VITRINE_SERVICE_NAME: "a" };
    assert.equal(loadConfig({}, env).serviceName, "a");
    assert.equal(loadConfig({}, { OTEL_SERVICE_NAME: "b" }).serviceName, "b");
  });

  it("reads a bare collector address as its v2 endpoint, and keeps a path", () => {
    const endpoint = (text: string) => loadConfig({ zipkinEndpoint: text }, {}).zipkinEndpoint;
    assert.equal(endpoint("http://zipkin:9411"), "http://zipkin:9411/api/v2/spans");
    assert.equal(endpoint("http://zipkin:9411/"), "http://zipkin:9411/api/v2/spans");
    assert.equal(endpoint("https://host/zipkin/api/v2/spans"), "https://host/zipkin/api/v2/spans");
    assert.equal(endpoint("http://worker:8080/zipkin"), "http://worker:8080/zipkin/api/v2/spans");
  });

  it("follows ENABLE_ZIPKIN_TRACING", () => {
    const endpoint = (env: NodeJS.ProcessEnv, flag?: string) =>
      loadConfig(flag === undefined ? {} : { zipkinEndpoint: flag }, env).zipkinEndpoint;
    assert.equal(endpoint({ ENABLE_ZIPKIN_TRACING: "true" }), "http://localhost:9411/api/v2/spans");
    assert.equal(endpoint({ ENABLE_ZIPKIN_TRACING: "true", ZIPKIN_ENDPOINT: "http://z:1" }), "http://z:1/api/v2/spans");
    assert.equal(endpoint({ ZIPKIN_ENDPOINT: "http://z:1" }), "http://z:1/api/v2/spans");
    assert.equal(endpoint({ OTEL_EXPORTER_ZIPKIN_ENDPOINT: "http://z:1" }), "http://z:1/api/v2/spans");
    assert.equal(endpoint({ ENABLE_ZIPKIN_TRACING: "false", ZIPKIN_ENDPOINT: "http://z:1" }), undefined);
    assert.equal(endpoint({ ENABLE_ZIPKIN_TRACING: "false" }, "http://z:1"), "http://z:1/api/v2/spans");
    fails(() => endpoint({ ENABLE_ZIPKIN_TRACING: "perhaps" }), /ENABLE_ZIPKIN_TRACING/, /true or false/);
  });

  it("understands OpenTelemetry's variables in their own words", () => {
    const { propagation, sampleRate, serviceName } = loadConfig(
      {},
      {
        OTEL_PROPAGATORS: "tracecontext, baggage,b3,jaeger",
        OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG: "0.25",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test,service.name=my%20shop",
      },
    );
    assert.deepEqual([propagation, sampleRate, serviceName], [["w3c", "b3"], 0.25, "my shop"]);
    const rate = (OTEL_TRACES_SAMPLER: string) => loadConfig({}, { OTEL_TRACES_SAMPLER }).sampleRate;
    const samplers = ["always_on", "always_off", "parentbased_always_off", "traceidratio", "jaeger_remote"];
    assert.deepEqual(samplers.map(rate), [1, 0, 0, 1, 1]);
    assert.deepEqual(loadConfig({}, { OTEL_PROPAGATORS: "xray" }).propagation, ["b3multi"]);
    fails(
      () => loadConfig({}, { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "7" }),
      /OTEL_TRACES_SAMPLER/,
    );
  });

  it("can read some options and leave the others to whom they belong", () => {
    const env = { VITRINE_SAMPLE_RATE: "0.5", LOG_LEVEL: "chatty", ENABLE_ZIPKIN_TRACING: "true" };
    fails(() => loadConfig({}, env), /LOG_LEVEL/);
    assert.deepEqual(loadSome(["sampleRate", "zipkinEndpoint"], {}, env), {
      sampleRate: 0.5,
      zipkinEndpoint: "http://localhost:9411/api/v2/spans",
    });
  });

  it("reads sizes in binary multiples", () => {
    const size = (text: string) => loadConfig({ kvMemory: text }, {}).kvMemory;
    assert.equal(size("auto"), "auto");
    assert.equal(size("2097152"), 2 ** 21);
    assert.equal(size("512M"), 2 ** 29);
    assert.equal(size("1.5GiB"), 1.5 * 2 ** 30);
    assert.equal(size("8gb"), 2 ** 33);
    for (const text of ["", "8 apples", "-1G", "G"])
      fails(() => size(text), /--kv-memory: expected auto, or a size such as 512M/);
    fails(() => size("1k"), /--kv-memory: expected at least 1M/);
  });

  it("reads a list of devices, which one device on the command line takes the place of", () => {
    assert.equal(loadConfig({}, {}).devices, undefined);
    assert.deepEqual(loadConfig({ devices: "CUDA:0, cuda:1,cpu" }, {}).devices, ["cuda:0", "cuda:1", "cpu"]);
    const env = { VITRINE_DEVICES: "cpu,cpu" };
    assert.deepEqual(loadConfig({}, env).devices, ["cpu", "cpu"]);
    assert.equal(loadConfig({ device: "cpu" }, env).devices, undefined);
    for (const devices of ["cpu,", "cpu,auto", "gpu", "cpu cpu", "cuda:-1"]) {
      fails(() => loadConfig({ devices }, {}), /--devices: expected devices with commas between them, such as/);
    }
  });

  it("reads durations", () => {
    const timeout = (text: string) => loadConfig({ requestTimeout: text }, {}).requestTimeout;
    assert.equal(timeout("250ms"), 250);
    assert.equal(timeout("1.5s"), 1500);
    assert.equal(timeout("2m"), 120_000);
    assert.equal(timeout("1h"), 3_600_000);
    assert.equal(timeout("30S"), 30_000);
    assert.equal(timeout(".5 s"), 500);
    fails(() => timeout("2"), /--request-timeout/, /500ms, 30s or 2m/);
    fails(() => timeout("40000m"), /24 days/);
    fails(() => timeout("0s"), /more than 0/);
    assert.equal(loadConfig({ shutdownTimeout: "0s" }, {}).shutdownTimeout, 0);
  });

  it("reads words in any case, and numbers as they are written elsewhere", () => {
    const config = loadConfig(
      {
        logLevel: "WARN",
        device: "CUDA:1",
        dtype: "Q4",
        propagation: " B3 ,w3c,b3",
        sampleRate: "1e-3",
        maxQueue: "1e3",
      },
      { VITRINE_TRACE_STORE: "false", VITRINE_FAST_INT4: "No", VITRINE_PORT: " 9000 ", VITRINE_THREADS: "2.0" },
    );
    assert.equal(config.logLevel, "warn");
    assert.equal(config.device, "cuda:1");
    assert.equal(config.dtype, "q4");
    assert.deepEqual(config.propagation, ["b3", "w3c"]);
    assert.equal(config.sampleRate, 0.001);
    assert.equal(config.maxQueue, 1000);
    assert.equal(config.traceStore, "off");
    assert.equal(config.fastInt4, "off");
    assert.equal(config.port, 9000);
    assert.equal(config.threads, 2);
    for (const share of ["0", "1", "1.", ".25", "1.000", "+0.5"]) {
      assert.equal(loadConfig({ sampleRate: share }, {}).sampleRate, Number(share));
    }
  });

  const bad: [Parameters<typeof loadConfig>[0], RegExp][] = [
    [{ port: "http" }, /--port: expected a port from 0 to 65535, got "http"/],
    [{ port: "65536" }, /--port/],
    [{ port: "" }, /--port/],
    [{ device: "gpu" }, /--device: expected one of auto, cpu, cuda, cuda:N/],
    [{ device: "cuda:x" }, /--device/],
    [{ device: "cuda:-1" }, /--device/],
    [{ dtype: "q5" }, /--dtype: expected one of auto, fp32/],
    [{ sampleRate: "1.5" }, /--sample-rate: expected a share from 0 to 1/],
    [{ sampleRate: "-0" }, /--sample-rate/],
    [{ sampleRate: "" }, /--sample-rate/],
    [{ sampleRate: "10%" }, /--sample-rate/],
    [{ threads: "1.5" }, /--threads: expected a number of threads/],
    [{ port: "0x50" }, /--port/],
    [{ traceStore: "perhaps" }, /--trace-store: expected on or off, got "perhaps"/],
    [{ zipkinEndpoint: "zipkin:9411" }, /--zipkin-endpoint: expected a URL/],
    [{ zipkinEndpoint: "ftp://zipkin" }, /--zipkin-endpoint/],
    [{ propagation: "jaeger" }, /--propagation/],
    [{ propagation: "b3,jaeger" }, /--propagation/],
    [{ maxSequences: "0" }, /--max-sequences/],
    [{ model: "" }, /--model: must not be empty/],
  ];
  for (const [flags, message] of bad) {
    it(`refuses ${JSON.stringify(flags)}`, () => fails(() => loadConfig(flags, {}), message));
  }

  it("names the environment variable at fault", () => {
    fails(() => loadConfig({}, { LOG_LEVEL: "loud" }), /^LOG_LEVEL: expected one of fatal/);
  });

  it("takes cuda with a device number", () => {
    assert.equal(loadConfig({ device: "cuda:1" }, {}).device, "cuda:1");
  });
});

describe("unknownVariables", () => {
  it("finds misspelled names only", () => {
    const env = { VITRINE_PORT: "1", VITRINE_PROT: "1", LOG_LEVEL: "info", VITRINE_USER_HASH_KEY: "k" };
    assert.deepEqual(unknownVariables(env), ["VITRINE_PROT"]);
  });
});
