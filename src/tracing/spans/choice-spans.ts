import type { WireError } from "../../errors.js";
import type { Micros, Outcome, RequestEvent, RequestId } from "../../protocol.js";
import { deviceName } from "./device-attributes.js";
import { EnginePhases, type EngineSpans, failureOf, type PhaseTotals, setTotals } from "./engine-phases.js";
import { type OpenSpan, setAttributes } from "./open-span.js";
import { rounded, type SpanMaker } from "./span-maker.js";

interface Choice {
  readonly index: number;
  readonly seed: number;
  span?: OpenSpan;
  phases?: EnginePhases;
  open: boolean;
}

/** The engine's part in a request of several choices: a span `choice` for each, with its phases below. */
export class ChoiceSpans implements EngineSpans {
  readonly #choices: ReadonlyMap<RequestId, Choice>;
  firstTokenAt: Micros | undefined;
  #lastTokenAt: Micros = 0;

  constructor(
    private readonly maker: SpanMaker,
    private readonly parent: OpenSpan,
    choices: readonly { readonly id: RequestId; readonly seed: number }[],
  ) {
    this.#choices = new Map(choices.map(({ id, seed }, index) => [id, { index, seed, open: false }]));
  }

  submitted(at: Micros): void {
    for (const choice of this.#choices.values()) {
      const { index, seed } = choice;
      choice.span = this.maker.open("choice", at, this.parent, { "ai.choice.index": index, "ai.seed": seed });
      choice.phases = new EnginePhases(this.maker, choice.span);
      choice.phases.submitted(at);
      choice.open = true;
    }
  }

  observe(event: RequestEvent): void {
    const choice = this.#choices.get(event.id);
    if (choice === undefined || !choice.open) return;
    choice.phases?.observe(event);
    if (event.type === "token") this.#token(event.at);
    if (event.type === "ended") this.#end(choice, event.at, failureOf(event.outcome));
  }

  #token(at: Micros): void {
    this.#lastTokenAt = at;
    if (this.firstTokenAt !== undefined) return;
    this.firstTokenAt = at;
    this.maker.annotate(this.parent, "first_token", at);
  }

  close(at: Micros, error: WireError | undefined): void {
    for (const choice of this.#choices.values()) {
      if (!choice.open) continue;
      choice.phases?.close(at, error);
      this.#end(choice, at, error);
    }
  }

  #end(choice: Choice, at: Micros, error: WireError | undefined): void {
    choice.open = false;
    if (choice.span === undefined || choice.phases === undefined) return;
    const { outcome } = choice.phases;
    setTotals(choice.span, choice.phases.totals());
    setAttributes(choice.span, { "ai.outcome": outcome?.kind });
    this.maker.end(choice.span, at, error);
  }

  /** Once all have ended: the worst of them. */
  get outcome(): Outcome | undefined {
    const outcomes = [...this.#choices.values()].map(({ phases }) => phases?.outcome);
    const failed = outcomes.find((outcome) => outcome?.kind === "failed");
    if (failed !== undefined) return failed;
    if (outcomes.includes(undefined)) return undefined;
    return outcomes.find((outcome) => outcome?.kind === "cancelled") ?? outcomes[0];
  }

  /** What adds up. When each choice waited and ran is on its own span. */
  totals(): PhaseTotals {
    const parts = [...this.#choices.values()].flatMap(({ phases }) => (phases === undefined ? [] : [phases.totals()]));
    const tokens = parts.reduce((sum, part) => sum + part.tokens, 0);
    const costs = parts.flatMap(({ deviceSeconds }) => deviceSeconds ?? []);
    const reasons = [...this.#choices.values()].flatMap(({ phases }) =>
      phases?.outcome?.kind === "finished" ? [phases.outcome.reason] : [],
    );
    const first = this.firstTokenAt;
    const generating = first === undefined ? 0 : this.#lastTokenAt - first;
    const [device, ...others] = parts.flatMap((part) => part.device ?? []);
    const together = others.every((other) => deviceName(other) === deviceName(device));
    return {
      tokens,
      ...(first === undefined ? {} : { firstTokenAt: first }),
      ...(together && device !== undefined ? { device } : {}),
      attributes: {
        "ai.response.length": tokens,
        "gen_ai.usage.output_tokens": tokens,
        "ai.tokens_per_second": generating > 0 ? rounded((tokens - 1) / (generating / 1e6), 3) : undefined,
        "ai.cost.device_seconds":
          costs.length === 0
            ? undefined
            : rounded(
                costs.reduce((a, b) => a + b),
                9,
              ),
        "gen_ai.response.finish_reasons": reasons.length === 0 ? undefined : reasons,
      },
    };
  }
}
