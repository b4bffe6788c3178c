import { readFileSync } from "node:fs";
import type { z } from "zod";
import { fileProblem, VitrineError } from "../../errors.js";
import { describeIssue } from "./json-issue.js";

/** The text of a file, or undefined where there is none. Throws `model_invalid` when it cannot be read. */
export function readOptionalText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw unreadable(path, cause);
  }
}

/** A JSON file that fits the schema, or undefined where there is none. Throws `model_invalid`. */
export function readOptionalJson<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema> | undefined {
  const text = readOptionalText(path);
  return text === undefined ? undefined : parseJson(path, text, schema);
}

/** As `readOptionalJson`, for a file that has to be there. Throws `model_missing` or `model_invalid`. */
export function readJson<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema> {
  const value = readOptionalJson(path, schema);
  if (value === undefined) {
    throw new VitrineError("model_missing", `${path} does not exist; a model directory needs it. Download it again.`);
  }
  return value;
}

function parseJson<Schema extends z.ZodType>(path: string, text: string, schema: Schema): z.output<Schema> {
  if (text.startsWith(LFS_MARK)) throw lfsPointer(path);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    // V8's own message quotes the file, which may be a chat template or a vocabulary: it stays out.
    throw new VitrineError("model_invalid", `${path} is not JSON; the file is damaged. Download it again.`, { cause });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new VitrineError("model_invalid", `${mistakeIn(path, result.error, json)} Correct it, or download it again.`);
}

function mistakeIn(path: string, error: z.ZodError, json: unknown): string {
  const [issue] = error.issues;
  if (issue === undefined) return `${path} is not what a model directory holds.`;
  const { field, wanted, found } = describeIssue(issue, json);
  return field === ""
    ? `${path} must hold ${wanted}, but it is ${found}.`
    : `${path}: ${field} must be ${wanted}, but it is ${found}.`;
}

/** How a Git LFS pointer begins (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md). */
export const LFS_MARK = "version https://git-lfs";

export function lfsPointer(path: string): VitrineError {
  return new VitrineError(
    "model_invalid",
    `${path} is a Git LFS pointer, not the file itself; run "git lfs pull" in the repository, or download the file.`,
  );
}

function isMissing(thrown: unknown): boolean {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOENT" || code === "ENOTDIR";
}

/** `read`, or `model_invalid` that names what the system would not give: its own words do not say what to do. */
export function readable<Result>(path: string, read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof VitrineError) throw cause;
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): VitrineError {
  const denied = (cause as NodeJS.ErrnoException | undefined)?.code === "EACCES";
  const why = denied
    ? "this user may not; give it the right (chmod +r, and +x of the folders above)."
    : fileProblem(cause);
  return new VitrineError("model_invalid", `${path} cannot be read: ${why}`, { cause });
}

export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
