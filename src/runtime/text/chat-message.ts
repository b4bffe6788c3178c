/** One turn of a chat. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  /** Calls that an assistant's turn made, as OpenAI's API writes them. */
  readonly tool_calls?: readonly ToolCall[];
  /** The call that a `tool` message answers. */
  readonly tool_call_id?: string;
  readonly name?: string;
}

export interface ToolCall {
  readonly id: string;
  readonly type: "function";
  /** Arguments are JSON, as text. */
  readonly function: { readonly name: string; readonly arguments: string };
}

/** A function that the model may call, as OpenAI's API writes it. */
export interface Tool {
  readonly type: "function";
  readonly function: { readonly name: string; readonly description?: string; readonly parameters: object };
}
