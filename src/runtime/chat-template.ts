export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** A model's chat template, rendered to a prompt. */
export interface ChatTemplate {
  /** Throws VitrineError `invalid_request` when the template refuses the messages. */
  render(messages: readonly ChatMessage[]): string;
}
