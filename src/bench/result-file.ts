import { readFileSync } from "node:fs";
import { z } from "zod";
import { fileProblem, VitrineError } from "../errors.js";
import { type BenchResult, RESULT_VERSION } from "./result.js";

/** What is read of a result, checked as far as readers rely on it; the rest is taken as it is. */
const requestSchema = z.looseObject({
  repeat: z.number(),
  intended: z.number(),
  sent: z.number(),
  firstToken: z.number().optional(),
  end: z.number(),
  gaps: z.array(z.number()),
  promptTokens: z.number().optional(),
  outputTokens: z.number().optional(),
  outcome: z.looseObject({ kind: z.enum(["ok", "cancelled", "http", "broken"]) }),
});

const resultSchema = z.looseObject({
  version: z.literal(RESULT_VERSION),
  command: z.string(),
  startedAt: z.string(),
  machine: z.looseObject({ cpu: z.string(), cores: z.number() }),
  target: z.looseObject({ url: z.url(), model: z.string() }),
  slos: z.array(z.looseObject({ metric: z.string(), limitMs: z.number() })),
  points: z.array(
    z.looseObject({
      name: z.string(),
      load: z.looseObject({ kind: z.enum(["closed", "open", "replay"]) }),
      requests: z.array(requestSchema),
      summary: z.looseObject({ requests: z.number(), ok: z.number() }),
    }),
  ),
});

const HOW_TO_MAKE = "`vitrine bench --json FILE` writes one";

/** A file that `vitrine bench --json` wrote. @throws VitrineError `config_invalid` that names the file and what is wrong */
export function readResult(path: string): BenchResult {
  const parsed = resultSchema.safeParse(readJson(path, HOW_TO_MAKE));
  if (parsed.success) return parsed.data as unknown as BenchResult;
  const [issue] = parsed.error.issues;
  const at = issue === undefined || issue.path.length === 0 ? "it" : `\`${issue.path.join(".")}\``;
  const message = `${path}: not a result of \`vitrine bench --json\` of this version: ${at} is wrong (${issue?.message}); ${HOW_TO_MAKE}.`;
  throw new VitrineError("config_invalid", message);
}

/**
 * @param howToMake a clause for who has no such file
 * @throws VitrineError `config_invalid` where it cannot be read or is not JSON
 */
export function readJson(path: string, howToMake: string): unknown {
  const wrong = (what: string): VitrineError => new VitrineError("config_invalid", `${path}: ${what}; ${howToMake}.`);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw wrong(`cannot be read, ${fileProblem(error)}`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw wrong("is not JSON, or only a part of it");
  }
}
