import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { validate } from "dockerfile-utils";
import { loadConfig, unknownVariables } from "../../../src/config.js";
import { readDockerfile, type Stage } from "../../support/dockerfile.js";

const FILES = ["Dockerfile", "Dockerfile.gpu"] as const;

const last = (file: string): Stage => readDockerfile(file).at(-1) ?? assert.fail();
const commands = (stage: Stage | undefined): string[] =>
  (stage?.steps ?? []).flatMap((step) => (step.kind === "run" ? [step.command].flat().join(" ") : []));

for (const file of FILES) {
  describe(file, () => {
    const stages = readDockerfile(file);
    const image = last(file);

    it("is a valid Dockerfile", () => {
      const problems = validate(readFileSync(file, "utf8"));
      assert.deepEqual(
        problems.map(({ message, range }) => `${range.start.line + 1}: ${message}`),
        [],
      );
    });

    it("pins its bases", () => {
      for (const { image: base } of stages) assert.match(base, /:\d+\.\d+\.\d+-/, base);
    });

    it("copies what is there, what .dockerignore lets through, and from stages before", () => {
      const allowed = readFileSync(".dockerignore", "utf8")
        .split("\n")
        .flatMap((line) => (line.startsWith("!") ? [line.slice(1)] : []));
      stages.forEach((stage, index) => {
        for (const step of stage.steps) {
          if (step.kind !== "copy") continue;
          if (step.from !== undefined) {
            assert.ok(
              stages.slice(0, index).some(({ name }) => name === step.from),
              step.from,
            );
            continue;
          }
          for (const source of step.sources) {
            assert.ok(existsSync(source), source);
            assert.ok(allowed.includes(source.split("/")[0] ?? ""), `.dockerignore keeps ${source} out`);
          }
        }
      });
    });

    it("has production dependencies only, without install scripts and other systems' binaries", () => {
      const dependencies = commands(stages.find(({ name }) => name === "dependencies"));
      assert.ok(dependencies.includes("npm ci --omit=dev --ignore-scripts"));
      assert.ok(dependencies.some((command) => command.includes("! -name linux -exec rm -r")));
      const modules = image.steps.find((step) => step.kind === "copy" && step.target === "node_modules");
      assert.equal(modules?.kind === "copy" ? modules.from : "", "dependencies");
    });

    it("runs as a user that is nobody, named by a number", () => {
      const users = image.steps.flatMap((step) => (step.kind === "user" ? [step.user] : []));
      assert.equal(users.length, 1);
      assert.match(users[0] ?? "", /^[1-9]\d*:[1-9]\d*$/);
    });

    it("turns telemetry off, and sets what vitrine reads", () => {
      assert.equal(image.env.ORT_DISABLE_TELEMETRY, "1");
      assert.deepEqual(unknownVariables(image.env), []);
      const config = loadConfig({}, image.env);
      assert.deepEqual([config.host, config.port], ["0.0.0.0", 8080]);
      assert.equal(config.device, file === "Dockerfile" ? "auto" : "cuda");
    });

    it("starts the program that package.json names, and asks it whether it is ready", () => {
      const { bin } = JSON.parse(readFileSync("package.json", "utf8")) as { bin: { vitrine: string } };
      assert.deepEqual([...image.entrypoint, ...image.cmd], ["node", `/app/${bin.vitrine}`, "serve"]);
      assert.match(image.healthcheck.join(" "), /^node -e .*\/ready/);
    });

    it("examines itself before it is done, as the user it runs as", () => {
      const steps = image.steps.map((step) => (step.kind === "run" ? [step.command].flat().join(" ") : step.kind));
      const doctor = steps.findIndex((step) => step.includes("main.js doctor"));
      assert.ok(doctor > steps.indexOf("user"));
    });
  });
}

describe("the two images", () => {
  it("are built alike", () => {
    const [build, gpuBuild] = FILES.map((file) => readDockerfile(file).find(({ name }) => name === "build"));
    assert.deepEqual(gpuBuild, build);
    const copies = FILES.map((file) =>
      last(file).steps.filter((step) => step.kind === "copy" && step.target !== "/usr/local/bin/node"),
    );
    assert.deepEqual(copies[1], copies[0]);
  });

  it("differ in the CUDA that the provider is held to", () => {
    const [, dependencies, image] = readDockerfile("Dockerfile.gpu");
    assert.equal(image?.image, `nvidia/cuda:${dependencies?.env.CUDA_VERSION}-cudnn-runtime-ubuntu24.04`);
    assert.ok(commands(dependencies).some((command) => command.includes("readelf -d")));
    assert.ok(commands(image).some((command) => command.startsWith("ldd ")));
  });
});
