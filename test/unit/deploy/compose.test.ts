import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { loadConfig, unknownVariables } from "../../../src/config.js";

interface Service {
  readonly image: string;
  readonly build?: { readonly context?: string; readonly dockerfile: string };
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly depends_on?: readonly string[] | Readonly<Record<string, unknown>>;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}

const read = <T>(file: string): T => parse(readFileSync(join("deploy", file), "utf8")) as T;

describe("compose.yaml", () => {
  const { services, volumes = {} } = read<Compose>("compose.yaml");

  it("has the worker, and what shows its traces and metrics", () => {
    assert.deepEqual(Object.keys(services), ["vitrine", "zipkin", "prometheus", "grafana"]);
  });

  it("mounts files that are there, and volumes that it names", () => {
    for (const mount of Object.values(services).flatMap((service) => service.volumes ?? [])) {
      const [source = ""] = mount.split(":");
      assert.ok(source.startsWith(".") ? existsSync(join("deploy", source)) : source in volumes, mount);
    }
  });

  it("builds from files that are there", () => {
    const { build } = services.vitrine ?? assert.fail();
    const context = join("deploy", build?.context ?? "");
    const gpu = read<Compose>("compose.gpu.yaml").services.vitrine;
    for (const file of [build?.dockerfile, gpu?.build?.dockerfile]) assert.ok(existsSync(join(context, String(file))));
  });

  it("gives the worker variables that it reads, and an address that a service has", () => {
    const { environment = {} } = services.vitrine ?? assert.fail();
    assert.deepEqual(unknownVariables(environment), []);
    const { hostname, port, pathname } = new URL(loadConfig({}, environment).zipkinEndpoint ?? "");
    assert.ok(hostname in services);
    assert.deepEqual([port, pathname], ["9411", "/api/v2/spans"]);
  });

  it("pins every image that it does not build, and listens on the loopback address alone", () => {
    for (const [name, { image, ports = [] }] of Object.entries(services)) {
      if (name !== "vitrine") assert.match(image, /:v?\d+\.\d+\.\d+$/, name);
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, name);
    }
  });

  it("scrapes the worker where it listens", () => {
    const { scrape_configs: jobs } = read<{
      scrape_configs: readonly { static_configs: readonly { targets: readonly string[] }[] }[];
    }>("prometheus.yml");
    const targets = jobs.flatMap((job) => job.static_configs.flatMap((config) => config.targets));
    const dockerfile = readFileSync("Dockerfile", "utf8");
    const port = /VITRINE_PORT=(\d+)/.exec(dockerfile)?.[1];
    assert.deepEqual(targets, [`vitrine:${port}`]);
  });

  it("gives Grafana data sources that the dashboard names, at services that there are", () => {
    const { datasources } = read<{ datasources: readonly { uid: string; url: string; type: string }[] }>(
      "grafana/provisioning/datasources/datasources.yaml",
    );
    assert.deepEqual(
      datasources.map(({ uid, type }) => `${uid} ${type}`),
      ["prometheus prometheus", "zipkin zipkin"],
    );
    for (const { url } of datasources) assert.ok(new URL(url).hostname in services, url);
  });

  it("lays the dashboards where Grafana is told to look", () => {
    const { providers } = read<{ providers: readonly { options: { path: string } }[] }>(
      "grafana/provisioning/dashboards/dashboards.yaml",
    );
    const mounts = (services.grafana?.volumes ?? []).map((mount) => mount.split(":"));
    const place = mounts.find(([, target]) => target === providers[0]?.options.path)?.[0] ?? assert.fail();
    const home = services.grafana?.environment?.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH ?? "";
    assert.ok(readdirSync(join("deploy", place)).includes(home.slice(home.lastIndexOf("/") + 1)));
  });
});
