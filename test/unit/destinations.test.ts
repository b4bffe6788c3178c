import assert from "node:assert/strict";
import { loadConfig } from "../../src/config.js";
import { addressOf, destinationsOf } from "../../src/destinations.js";

const of = (env: Record<string, string>) => destinationsOf(loadConfig({}, env));
const otlpEndpoint = (env: Record<string, string>) => loadConfig({}, env).otlpEndpoint;

describe("destinations of spans", () => {
  it("are none, Zipkin, an OTLP collector, or both", () => {
    assert.deepEqual(of({}), []);
    const zipkin = { kind: "zipkin", endpoint: "http://z:9411/api/v2/spans", encoder: "json" };
    const otlp = { kind: "otlp", endpoint: "http://t:4318/v1/traces" };
    const [ZIPKIN_ENDPOINT, VITRINE_OTLP_ENDPOINT] = ["http://z:9411", "http://t:4318"];
    assert.deepEqual(of({ ZIPKIN_ENDPOINT }), [zipkin]);
    assert.deepEqual(of({ VITRINE_OTLP_ENDPOINT }), [otlp]);
    assert.deepEqual(of({ ZIPKIN_ENDPOINT, VITRINE_OTLP_ENDPOINT }), [zipkin, otlp]);
  });

  it("are shown without what a URL may hold of secrets", () => {
    assert.equal(addressOf("https://user:word@z:9411/api/v2/spans?key=1"), "https://z:9411/api/v2/spans");
  });

  it("read OpenTelemetry's variables as it means them", () => {
    const base = { OTEL_EXPORTER_OTLP_ENDPOINT: "https://gateway/otlp/" };
    assert.equal(otlpEndpoint(base), "https://gateway/otlp/v1/traces");
    assert.equal(otlpEndpoint({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://t:4318" }), "http://t:4318/v1/traces");
    const whole = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://t/api/v0.2/traces" };
    assert.equal(otlpEndpoint({ ...base, ...whole }), "https://t/api/v0.2/traces");
  });

  it("carry headers, percent-decoded, and never repeat them in an error", () => {
    const given = " Authorization = Bearer%20a%3Db%2Cc ,x-scope-orgid=7,";
    const { zipkinHeaders } = loadConfig({}, { OTEL_EXPORTER_ZIPKIN_HEADERS: given });
    assert.deepEqual(zipkinHeaders, { authorization: "Bearer a=b,c", "x-scope-orgid": "7" });
    for (const bad of ["SECRET", "=SECRET", "a b=SECRET", "a=SECRET%0d%0ab: c", "a=SECRET%", "a=SECRET%E2%82%AC"]) {
      assert.throws(
        () => loadConfig({ zipkinHeaders: bad }, {}),
        (error: Error) =>
          /^--zipkin-headers: expected headers as name=value/.test(error.message) && !/SECRET/.test(error.message),
        bad,
      );
    }
  });

  it("take TLS files for https only, and for the senders that read them", () => {
    const files = { VITRINE_ZIPKIN_CA: "ca.pem", VITRINE_ZIPKIN_CERT: "c.pem", VITRINE_ZIPKIN_KEY: "k.pem" };
    const [zipkin] = of({ ...files, ZIPKIN_ENDPOINT: "https://z" });
    assert.deepEqual(zipkin?.kind === "zipkin" && zipkin.tls, { ca: "ca.pem", cert: "c.pem", key: "k.pem" });
    const refused = { code: "config_invalid", message: /^--zipkin-ca: needs an https:\/\/ --zipkin-endpoint/ };
    assert.throws(() => of(files), refused);
    assert.throws(() => of({ ...files, ZIPKIN_ENDPOINT: "http://z" }), refused);
    assert.throws(() => of({ ...files, ZIPKIN_ENDPOINT: "https://z", VITRINE_ZIPKIN_ENCODER: "otel" }), refused);
  });
});
