/** What is read of other people's values: counts and shapes, never what they hold. Anything may come; nothing here throws for it. */

export type Fields = Readonly<Record<string, unknown>>;

/** Properties of an object or function; none of anything else. */
export function fields(value: unknown): Fields {
  return (typeof value === "object" && value !== null) || typeof value === "function" ? (value as Fields) : {};
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function finite(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** Dimensions of a tensor of either library; undefined for anything else. */
export function dims(value: unknown): readonly number[] | undefined {
  const found = fields(value).dims;
  return Array.isArray(found) && typeof (found[0] ?? 0) === "number" ? (found as number[]) : undefined;
}

/** Token ids: how many sequences, of which length. */
export interface TokenShape {
  readonly rows: number;
  readonly length: number;
}

/** The shape of token ids or of their embeddings: tensors [rows, length, …], arrays of one or of several sequences. */
export function tokenShape(value: unknown): TokenShape | undefined {
  const shape = dims(value);
  if (shape !== undefined) {
    const [rows, length] = shape.length === 1 ? [1, shape[0]] : shape;
    return rows === undefined || length === undefined ? undefined : { rows, length };
  }
  if (!isList(value)) return undefined;
  const first = value[0];
  return isList(first) ? { rows: value.length, length: first.length } : { rows: 1, length: value.length };
}

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && "length" in value);

/** Ones in an attention mask: tokens that are no padding. Undefined where the mask is not at hand. */
function unmasked(mask: unknown): number | undefined {
  const { data } = fields(mask);
  const rows = dims(mask) === undefined ? mask : data;
  if (!isList(rows)) return undefined;
  let count = 0;
  for (let i = 0; i < rows.length; i++) {
    const one = rows[i];
    if (isList(one)) count += unmasked(one) ?? 0;
    else count += Number(one);
  }
  return count;
}

/** Tokens of a batch, padding left out where there is a mask. */
export function tokenCount(ids: unknown, mask: unknown): number | undefined {
  const shape = tokenShape(ids);
  if (shape === undefined || shape.rows === 1) return shape?.length;
  return unmasked(mask) ?? shape.rows * shape.length;
}
