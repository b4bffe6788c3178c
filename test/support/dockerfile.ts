/** A Dockerfile's stages and steps, with build arguments filled in. */
import { readFileSync } from "node:fs";
import { type Copy, DockerfileParser, type PropertyInstruction } from "dockerfile-ast";

export type Step =
  /** `command` is an argument vector, or a text for the shell. */
  | { readonly kind: "run"; readonly command: readonly string[] | string }
  | {
      readonly kind: "copy";
      /** Another stage; without one, the build's context. */
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly target: string;
    }
  | { readonly kind: "workdir"; readonly path: string }
  | { readonly kind: "user"; readonly user: string };

export interface Stage {
  readonly name: string | undefined;
  readonly image: string;
  /** Build arguments and environment, as the stage's end has them. */
  readonly env: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
}

type Draft = { -readonly [K in keyof Stage]: Stage[K] } & { env: Record<string, string>; steps: Step[] };

export function readDockerfile(path: string): Stage[] {
  const globals: Record<string, string> = {};
  const stages: Draft[] = [];
  for (const instruction of DockerfileParser.parse(readFileSync(path, "utf8")).getInstructions()) {
    const keyword = instruction.getKeyword();
    const raw = instruction.getRawArgumentsContent() ?? "";
    const stage = stages.at(-1);
    if (keyword === "FROM") {
      const [image = "", , name] = raw.split(/\s+/);
      const empty = { env: {}, steps: [], entrypoint: [], cmd: [], healthcheck: [] };
      stages.push({ name, image: filled(image, globals), ...empty });
    } else if (keyword === "ARG" || keyword === "ENV") {
      const scope = stage?.env ?? globals;
      for (const property of (instruction as PropertyInstruction).getProperties()) {
        scope[property.getName()] = filled(property.getValue() ?? globals[property.getName()] ?? "", scope);
      }
    } else if (keyword === "COPY") {
      const from = (instruction as Copy).getFromFlag()?.getValue() ?? undefined;
      const places = raw.split(/\s+/);
      stage?.steps.push({ kind: "copy", from, sources: places.slice(0, -1), target: places.at(-1) ?? "" });
    } else if (stage !== undefined) addTo(stage, keyword, raw);
  }
  return stages;
}

function addTo(stage: Draft, keyword: string, raw: string): void {
  if (keyword === "RUN") stage.steps.push({ kind: "run", command: vector(raw) ?? raw });
  else if (keyword === "WORKDIR") stage.steps.push({ kind: "workdir", path: raw });
  else if (keyword === "USER") stage.steps.push({ kind: "user", user: raw });
  else if (keyword === "ENTRYPOINT") stage.entrypoint = vector(raw) ?? [];
  else if (keyword === "CMD") stage.cmd = vector(raw) ?? [];
  else if (keyword === "HEALTHCHECK") stage.healthcheck = vector(raw.slice(raw.indexOf("["))) ?? [];
}

/** The exec form: a JSON array. */
function vector(raw: string): string[] | undefined {
  return raw.startsWith("[") ? (JSON.parse(raw) as string[]) : undefined;
}

function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{?(\w+)\}?/g, (_, name: string) => values[name] ?? "");
}
