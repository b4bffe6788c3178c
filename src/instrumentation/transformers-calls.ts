import { context } from "@opentelemetry/api";
import type { SpanAttributes } from "../tracing/spans/open-span.js";
import { setAttributes } from "../tracing/spans/open-span.js";
import { attempt } from "./attempt.js";
import { markFailure } from "./failure.js";
import { type ForwardPass, modelPass, stepPass, UNKNOWN_PASS } from "./forward-pass.js";
import { type GenerateCall, readGenerateCall } from "./generate-call.js";
import { Generation } from "./generation.js";
import { loadSpan } from "./load-span.js";
import {
  chosenIdentity,
  identityAttributes,
  identityOf,
  modelSizes,
  pretrainedIdentity,
  remember,
} from "./model-identity.js";
import type { Call } from "./patch.js";
import { type Recorder, unrecorded } from "./recorder.js";
import { isCovered, scopeOf, withScope } from "./scope.js";
import { type Outcome, settle } from "./settle.js";
import { dims, fields, text, tokenCount, tokenShape } from "./shapes.js";

const PROVIDER = "transformers.js";

/** What calls of transformers.js become. Each method stands in for one of the library's. */
export class TransformersCalls {
  constructor(private readonly recorder: Recorder) {}

  /** `pipeline(task, model, options)`: the loading of all it needs. */
  readonly loadPipeline = (call: Call): unknown => {
    const [task, name, options] = call.args;
    const identity = pretrainedIdentity(name, options);
    return loadSpan(this.recorder, call, "model.load", { ...identityAttributes(identity), "ai.task.type": text(task) });
  };

  /** `PreTrainedModel.from_pretrained(name, options)` and that of the `AutoModel…` classes, which ends in the former. */
  readonly loadModel = (call: Call): unknown => {
    const [name, options] = call.args;
    const identity = pretrainedIdentity(name, options);
    const about = identityAttributes(identity);
    return loadSpan(this.recorder, call, "model.load", { ...about, "ai.runtime": "node" }, (model) => {
      const exactly = { ...identity, ...chosenIdentity(model) };
      remember(model, exactly);
      return { ...identityAttributes(exactly), ...modelSizes(model) };
    });
  };

  readonly loadTokenizer = (call: Call): unknown => {
    const about = identityAttributes(pretrainedIdentity(call.args[0], undefined));
    return loadSpan(this.recorder, call, "tokenizer.load", about);
  };

  /** A pipeline's call, whatever its task: what it tokenizes and computes is below. */
  readonly runPipeline = (call: Call): unknown => {
    const scope = scopeOf();
    // A pipeline that overrides another's call ends in that one.
    if (isCovered(scope) || (scope?.kind === "pipeline" && scope.self === call.self)) return call.proceed();
    const { task, model } = fields(call.self);
    const name = text(task);
    return this.recorder.span(call, {
      name: "pipeline",
      attributes: {
        "ai.task.type": name,
        ...identityAttributes(identityOf(model)),
        // Those that generate say so below.
        "gen_ai.operation.name": name === "feature-extraction" ? "embeddings" : undefined,
      },
      scope: (maker) => ({ kind: "pipeline", maker, self: call.self, task: name }),
    });
  };

  readonly tokenize = (call: Call): unknown => {
    if (isCovered(scopeOf())) return call.proceed();
    return this.recorder.span(call, { name: "tokenize", attributes: {}, ended: promptLength });
  };

  readonly detokenize = (call: Call): unknown => {
    if (isCovered(scopeOf())) return call.proceed();
    return this.recorder.span(call, { name: "detokenize", attributes: {} });
  };

  readonly generate = (call: Call): unknown => {
    const parent = context.active();
    const scope = scopeOf(parent);
    if (isCovered(scope)) return call.proceed();
    const { generation: outer } = scope?.kind === "generate" ? scope : {};
    // A class that overrides `generate` ends in its parent's.
    if (outer?.model === call.self && outer?.owner !== call.owner) return call.proceed();
    const maker = this.recorder.maker(scope);
    const identity = identityOf(call.self);
    const about = identityAttributes(identity);
    const open = maker.open("model.generate", this.recorder.now(), parent, {
      ...about,
      "gen_ai.provider.name": PROVIDER,
      "gen_ai.request.model": identity.name,
      "gen_ai.response.model": identity.name,
    });
    if (!open.span.isRecording()) return unrecorded(open.context, call);
    const asked = attempt<Partial<GenerateCall>>(() => readGenerateCall(call.self, call.args), {});
    const task = scope?.kind === "pipeline" ? scope.task : asked.task;
    setAttributes(open, { ...asked.attributes, "ai.task.type": task });
    const onDevice = { "ai.device": about["ai.device"] };
    const generation = new Generation(maker, open, call.self, call.owner, onDevice, this.recorder.detail);
    return settle(
      () => context.with(withScope(open.context, { kind: "generate", maker, generation }), call.proceed),
      (outcome) => {
        const at = this.recorder.now();
        const ending = attempt(() => endingOf(call, outcome), "finished");
        const totals = generation.close(at, ending === "finished" ? asked.limit : undefined);
        setAttributes(open, { ...totals, "ai.outcome": ending });
        markFailure(open, outcome);
        maker.end(open, at);
      },
    );
  };

  /** `forward`: a step of the `generate` it belongs to, else a span of its own. */
  readonly forward = (call: Call): unknown => {
    const scope = scopeOf();
    if (isCovered(scope)) return call.proceed();
    if (scope?.kind === "generate" && scope.generation.model === call.self) {
      const { generation } = scope;
      const pass = attempt(() => stepPass(call.args[0], generation.beginning), UNKNOWN_PASS);
      return this.#step(generation, call, pass);
    }
    const generates = fields(call.self).can_generate === true;
    const pass = attempt(() => modelPass(call.args[0], generates), UNKNOWN_PASS);
    return this.recorder.forward(call, pass, identityAttributes(identityOf(call.self)));
  };

  /** An encoder that `generate` runs before the first step; elsewhere it is part of `forward`. */
  readonly encode = (call: Call): unknown => {
    const scope = scopeOf();
    if (scope?.kind !== "generate" || scope.generation.model !== call.self) return call.proceed();
    const rows = attempt(() => dims(fields(call.args[0]).inputs_tensor)?.[0], undefined) ?? 1;
    return this.#step(scope.generation, call, { phase: "encode", rows });
  };

  #step(generation: Generation, call: Call, pass: ForwardPass): unknown {
    const start = this.recorder.now();
    // A flag and no context of its own: it is set for every token, and one generation makes its passes one after the other.
    generation.stepping = true;
    return settle(call.proceed, (outcome) => {
      generation.stepping = false;
      generation.passed(pass, { start, end: this.recorder.now() }, outcome);
    });
  }
}

/** What a tokenizer returned: ids by themselves, or with their mask. */
function promptLength(result: unknown): SpanAttributes {
  const { input_ids, attention_mask } = fields(result);
  const ids = input_ids ?? result;
  const rows = tokenShape(ids)?.rows;
  return { "ai.prompt.length": tokenCount(ids, attention_mask), "ai.batch.size": rows };
}

/** A stopping criterion that was told to interrupt says so. */
function endingOf({ args }: Call, outcome: Outcome): "finished" | "cancelled" | "failed" {
  if (outcome.kind === "threw") return "failed";
  const { stopping_criteria } = fields(args[0]);
  const criteria = fields(stopping_criteria).criteria ?? stopping_criteria;
  const list: unknown[] = Array.isArray(criteria) ? criteria : [criteria];
  return list.some((one) => fields(one).interrupted === true) ? "cancelled" : "finished";
}
