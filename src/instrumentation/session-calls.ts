import { attempt } from "./attempt.js";
import { sessionPass, UNKNOWN_PASS } from "./forward-pass.js";
import { loadSpan } from "./load-span.js";
import {
  graphIdentity,
  identityAttributes,
  identityOf,
  type ModelIdentity,
  remember,
  sessionDevice,
} from "./model-identity.js";
import type { Call } from "./patch.js";
import type { Recorder } from "./recorder.js";
import { scopeOf } from "./scope.js";
import { fields } from "./shapes.js";

/** What calls of onnxruntime-node become. Inside a call of transformers.js that has a span, runs make none of their own. */
export class SessionCalls {
  constructor(private readonly recorder: Recorder) {}

  /** `InferenceSession.create(path | bytes, …, options)`: part of the load it belongs to, else a load itself. */
  readonly create = (call: Call): unknown => {
    const [model] = call.args;
    const options = call.args.findLast((one) => typeof one === "object" && one !== model);
    const identity: ModelIdentity = {
      ...(typeof model === "string" ? graphIdentity(model) : {}),
      device: sessionDevice(options),
    };
    const name = scopeOf()?.kind === "load" ? "session.create" : "model.load";
    const attributes = { ...identityAttributes(identity), "ai.runtime": "node" };
    return loadSpan(this.recorder, call, name, attributes, (session) => {
      remember(session, identity);
      return {};
    });
  };

  readonly run = (call: Call): unknown => {
    if (scopeOf()?.kind === "leaf") return call.proceed();
    const pass = attempt(() => sessionPass(call.args[0]), UNKNOWN_PASS);
    return this.recorder.forward(call, pass, identityAttributes(identityOf(call.self)));
  };

  /** After its release a session makes no more steps. */
  readonly release = (call: Call): unknown => {
    this.recorder.decodes.end(fields(call.self));
    return call.proceed();
  };
}
