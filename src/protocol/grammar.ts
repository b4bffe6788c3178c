/** A language that the output is held to, token by token. */
export type Grammar = JsonGrammar | ToolCallGrammar;

export type JsonGrammar =
  /** Any JSON object. */
  | { readonly kind: "json_object" }
  /** JSON that validates against this schema (JSON Schema, as text). */
  | { readonly kind: "json_schema"; readonly schema: string };

/** Calls of these tools, or, as far as `otherwise` allows, something else. */
export interface ToolCallGrammar {
  readonly kind: "tool_calls";
  readonly format: ToolCallFormat;
  readonly tools: readonly ToolSignature[];
  /** More than one call. */
  readonly parallel: boolean;
  /** What the output may be instead of calls; text may also come before them. */
  readonly otherwise: "nothing" | "text" | JsonGrammar;
}

export interface ToolSignature {
  readonly name: string;
  /** JSON Schema of its arguments, as text. */
  readonly parameters: string;
}

/** How a model writes calls: `open` name `middle` arguments, for each further one `between` name …, and at last `close`. */
export interface ToolCallFormat {
  readonly open: string;
  /** The beginning of `open` that gives a call away wherever it comes; empty where a call is one only at the start. */
  readonly marker: string;
  readonly middle: string;
  /** Undefined where the model writes one call a turn. */
  readonly between: string | undefined;
  readonly close: string;
}
