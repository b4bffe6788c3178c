/** Memory of a slot cache: room for this many sequences, each of this many tokens. */
export interface CacheShape {
  readonly rows: number;
  readonly tokens: number;
}

export interface CacheLimits extends CacheShape {
  /** Most rows times tokens. */
  readonly cells: number;
}

/** What a first allocation holds at least. */
const FIRST_TOKENS = 256;

export const cellsOf = ({ rows, tokens }: CacheShape): number => rows * tokens;

/**
 * A shape with room for `rows` times `tokens`, and some more while there is memory, so that growing is rare: both
 * double. Undefined when it is too much.
 */
export function grownShape(now: CacheShape, { rows, tokens }: CacheShape, limits: CacheLimits): CacheShape | undefined {
  if (rows > limits.rows || tokens > limits.tokens || rows * tokens > limits.cells) return undefined;
  const roomy = {
    rows: rows <= now.rows ? now.rows : Math.min(doubled(1, rows), limits.rows),
    tokens: tokens <= now.tokens ? now.tokens : Math.min(doubled(FIRST_TOKENS, tokens), limits.tokens),
  };
  if (cellsOf(roomy) <= limits.cells) return roomy;
  // Memory is short: a quarter more rows than needed where they fit, and what is left of it as tokens.
  const most = Math.min(limits.rows, Math.floor(limits.cells / tokens));
  const tightRows = Math.min(Math.ceil(rows * 1.25), most);
  return { rows: tightRows, tokens: Math.min(roomy.tokens, Math.floor(limits.cells / tightRows)) };
}

/** Between what is needed and what would be roomy, of which there is no memory. */
export function halfway(needed: CacheShape, roomy: CacheShape): CacheShape {
  const between = (low: number, high: number): number => Math.ceil((low + high) / 2);
  return { rows: between(needed.rows, roomy.rows), tokens: between(needed.tokens, roomy.tokens) };
}

function doubled(from: number, needed: number): number {
  let size = from;
  while (size < needed) size *= 2;
  return size;
}
