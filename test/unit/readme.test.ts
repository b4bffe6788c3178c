import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { OPTIONS } from "../../src/options.js";
import { ALLOWED_ATTRIBUTES } from "../../src/tracing/privacy.js";
import { metricsPage } from "../support/metrics-page.js";

const inCell = (text: string): string => text.replaceAll("|", "\\|");

describe("README.md", () => {
  it("has exactly the options there are, in their order", () => {
    const rows = Object.values(OPTIONS).map((option) => {
      const flag =
        "flag" in option ? `\`--${[option.flag, inCell(option.value)].join(" ").trim()}\`` : "(environment only)";
      const fallback = "fallback" in option ? `\`${option.fallback}\`` : "";
      const names = option.env.map((name) => `\`${name}\``).join(", ");
      return `| ${flag} | ${names} | ${fallback} | ${option.help} |`;
    });
    const section = readFileSync("README.md", "utf8").split("## Options of `vitrine serve`\n")[1]?.split("\n## ")[0];
    const table = (section ?? "").split("\n").filter((line) => /^\| (`--|\(env)/.test(line));
    assert.deepEqual(table, rows);
  });
});

describe("docs/kv-cache.md", () => {
  it("has every tag of the cache's, and none that is not there", () => {
    const text = readFileSync("docs/kv-cache.md", "utf8");
    const told = new Set(text.match(/ai\.kv\.\w+/g));
    const names = ALLOWED_ATTRIBUTES.map(({ name }) => name);
    const tags = names.filter((name) => name.startsWith("ai.kv.") && name !== "ai.kv.bytes_per_token");
    assert.deepEqual([...told].sort(), [...tags].sort());
  });
});

describe("docs/metrics.md", () => {
  it("has a line for every metric of ours, and for none that is not there", async () => {
    const rows = readFileSync("docs/metrics.md", "utf8")
      .split("\n")
      .filter((line) => /^\| `(vllm:|vitrine_|zipkin_|hw_)/.test(line));
    const told = rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`((?:vllm:|vitrine_|zipkin_|hw_)\w+)`/g)].map(([, name]) => name),
    );
    const names = [...(await metricsPage()).matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name);
    const ours = names.filter((name) => !/^(process|nodejs)_/.test(name));
    assert.deepEqual([...told].sort(), [...ours].sort());
  });
});
