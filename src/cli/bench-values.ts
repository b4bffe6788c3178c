/** How the values of `vitrine bench`'s options are read. */
import { z } from "zod";
import { baseOf } from "../bench/client/target.js";
import { LENGTHS_HELP, parseLengths } from "../bench/load/lengths.js";
import type { LatencyName, Slo } from "../bench/result.js";
import { integer, number, positiveDuration } from "../options.js";

export const count = (least: number) => integer(least, 1_000_000_000, `a whole number from ${least}`);
export const positive = number("a number above 0").refine((value) => value > 0, "expected a number above 0");
export const list = <T extends z.ZodType<unknown, string>>(each: T) =>
  z
    .string()
    .transform((value) => value.split(","))
    .pipe(z.array(each));

export const address = z
  .url({ protocol: /^https?$/, error: "expected a URL such as http://127.0.0.1:8080" })
  .transform((url) => baseOf(url));

/** `10`, or a ramp `1..20`. */
export const rate = z.string().transform((value, context) => {
  const parts = value.split("..").map((part) => positive.safeParse(part).data);
  const [first, second = first] = parts;
  if (parts.length <= 2 && first !== undefined && second !== undefined) {
    return parts.length === 1 ? { to: first } : { from: first, to: second };
  }
  context.addIssue({ code: "custom", message: "expected requests a second such as 5, 1,5,10, or a ramp 1..20" });
  return z.NEVER;
});

export const lengths = z.string().transform((value, context) => {
  const found = parseLengths(value);
  if (found !== undefined) return found;
  context.addIssue({ code: "custom", message: `expected ${LENGTHS_HELP}` });
  return z.NEVER;
});

const METRICS: readonly LatencyName[] = ["ttft", "tpot", "itl", "e2e", "queue"];
const SLO_HELP = "expected a limit such as ttft:200ms, of ttft, tpot, itl, e2e or queue";
export const sloSetting = z.string().transform((value, context): Slo => {
  const [name = "", limit = ""] = value.split(":");
  const metric = METRICS.find((each) => each === name.trim().toLowerCase());
  const limitMs = positiveDuration.safeParse(limit).data;
  if (metric !== undefined && limitMs !== undefined) return { metric, limitMs };
  context.addIssue({ code: "custom", message: SLO_HELP });
  return z.NEVER;
});

export const jsonObject = z.string().transform((value, context): Record<string, unknown> => {
  try {
    const parsed = z.record(z.string(), z.unknown()).safeParse(JSON.parse(value));
    if (parsed.success) return parsed.data;
  } catch {
    // Told below.
  }
  context.addIssue({ code: "custom", message: `expected a JSON object such as '{"top_p": 0.9}'` });
  return z.NEVER;
});

/** `tracing=off,on`, or any flag of the server's: `zipkin-encoder=json,otel`. */
export const ab = z
  .string()
  .regex(/^[a-z0-9-]+=[^,]+,[^,]+$/, "expected a flag of the server and two values, such as tracing=off,on")
  .transform((value) => {
    const [name = "", values = ""] = [value.slice(0, value.indexOf("=")), value.slice(value.indexOf("=") + 1)];
    const [base = "", variant = ""] = values.split(",");
    return { flag: name, base, variant };
  })
  .refine(({ flag, base, variant }) => !isSwitch(flag) || [base, variant].every((value) => /^(on|off)$/.test(value)), {
    error: "a switch is on or off, such as tracing=off,on or no-fast-int4=off,on; expected these",
  });

const isSwitch = (flag: string): boolean => flag === "tracing" || flag.startsWith("no-");

/** Seconds may come without a unit, as other load generators take them. */
export const span = z.string().transform((value) => (/^[\d.]+$/.test(value.trim()) ? `${value}s` : value));
