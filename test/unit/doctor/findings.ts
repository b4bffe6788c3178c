import type { Finding } from "../../../src/doctor/finding.js";

/** `status what` lines, which tests match. */
export const lines = (findings: readonly Finding[]): string[] =>
  findings.map(({ status, what }) => `${status} ${what}`);

/** Cures of what is not in order. */
export const cures = (findings: readonly Finding[]): string[] =>
  findings.flatMap((finding) => (finding.status === "ok" ? [] : [finding.cure]));
