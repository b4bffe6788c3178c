import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { VitrineError } from "../../errors.js";
import { apiKeyHash } from "./api-key.js";

/** What a request has to be for a rule to hold: every condition that is given. */
export interface SamplingRule {
  /** For people who read the file. */
  readonly name?: string | undefined;
  /** SHA-256 of the API key, in hex. */
  readonly api_key_sha256?: readonly string[] | undefined;
  /** The model this process serves: one file may go to many of them. */
  readonly model?: string | undefined;
  /** `/v1/completions` or `/v1/chat/completions`. */
  readonly route?: string | undefined;
  /** Lower-case names and exact values. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Share of traces kept, 0 to 1. */
  readonly rate: number;
}

/** Which traces are kept where the caller did not decide. */
export interface SamplingPolicy {
  /** Where no rule holds. */
  readonly rate: number;
  /** Traces a second, at most; null for no limit. */
  readonly limit: number | null;
  /** The first that holds decides. */
  readonly rules: readonly SamplingRule[];
}

/** What rules look at. */
export interface SampledRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

const share = z
  .number("expected a share from 0 to 1")
  .min(0, "expected a share from 0 to 1")
  .max(1, "expected a share from 0 to 1");
const keyHash = z
  .string("expected a SHA-256 in hex")
  .trim()
  .toLowerCase()
  .regex(/^[0-9a-f]{64}$/, "expected a SHA-256 in hex, 64 digits: never write the key itself");
const text = z.string("expected a text").min(1, "must not be empty");

const RULE = z
  .strictObject(
    {
      name: text.optional(),
      api_key_sha256: z
        .union([keyHash.transform((one) => [one]), z.array(keyHash).min(1, "must not be empty")])
        .optional(),
      model: text.optional(),
      route: text.optional(),
      headers: z
        .record(
          text.toLowerCase(),
          z.string("expected the header's exact value"),
          "expected an object of header names and values",
        )
        .optional(),
      rate: share,
    },
    { error: unknownFields },
  )
  .readonly();

const POLICY = z.strictObject(
  {
    rate: share.optional(),
    limit: z
      .number("expected traces a second, or null")
      .positive("expected more than 0, or null for no limit")
      .nullable()
      .optional(),
    rules: z.array(RULE, "expected a list of rules").optional(),
  },
  { error: unknownFields },
);

function unknownFields(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "unrecognized_keys")
    return `unknown field ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}`;
  return issue.code === "invalid_type" ? "expected an object" : undefined;
}

/**
 * Reads the rules file, or what the admin endpoint was sent. What it leaves out is as in `defaults`, the command line's.
 * @param source names the text in errors
 * @throws VitrineError `config_invalid` naming the field
 */
export function parseSamplingPolicy(json: string, source: string, defaults: SamplingPolicy): SamplingPolicy {
  const result = POLICY.safeParse(parseJson(json, source));
  if (!result.success) {
    const issue = mostSpecific(result.error.issues[0]);
    throw invalid(source, `${fieldName(issue?.path ?? [])}${issue?.message ?? "invalid"}`);
  }
  const { rate = defaults.rate, limit = defaults.limit, rules = defaults.rules } = result.data;
  return { rate, limit, rules };
}

/** Of a union, what is wrong with the alternative that got furthest. */
function mostSpecific(issue: z.core.$ZodIssue | undefined): { path: PropertyKey[]; message: string } | undefined {
  if (issue?.code !== "invalid_union") return issue;
  const inner = issue.errors.map(([first]) => first).find((first) => first?.code !== "invalid_type");
  return { path: [...issue.path, ...(inner?.path ?? [])], message: inner?.message ?? issue.message };
}

function fieldName(path: readonly PropertyKey[]): string {
  const name = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  return name === "" ? "" : `${name.replace(/^\./, "")}: `;
}

function parseJson(json: string, source: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw invalid(source, "this is not JSON");
  }
}

const invalid = (source: string, what: string): VitrineError =>
  new VitrineError("config_invalid", `${source}: ${what}.`, { param: source });

/** The rate that holds for `request`: that of the first rule it meets, else the policy's. */
export function rateFor(
  policy: SamplingPolicy,
  model: string | undefined,
  request: SampledRequest | undefined,
): number {
  if (request === undefined || policy.rules.length === 0) return policy.rate;
  return policy.rules.find((rule) => meets(rule, model, request))?.rate ?? policy.rate;
}

function meets(rule: SamplingRule, model: string | undefined, { path, headers }: SampledRequest): boolean {
  if (rule.model !== undefined && rule.model !== model) return false;
  if (rule.route !== undefined && rule.route !== path) return false;
  for (const name in rule.headers) if (headers[name] !== rule.headers[name]) return false;
  if (rule.api_key_sha256 === undefined) return true;
  const hash = apiKeyHash(headers);
  return hash !== undefined && rule.api_key_sha256.includes(hash);
}
