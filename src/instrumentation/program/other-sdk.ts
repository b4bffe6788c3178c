/** Notices when a program sets up OpenTelemetry itself. */
import * as api from "@opentelemetry/api";
import {
  InstrumentationBase,
  type InstrumentationConfig,
  InstrumentationNodeModuleDefinition,
} from "@opentelemetry/instrumentation";

type Api = Pick<typeof api, "trace" | "context" | "propagation">;
type Setter = (this: unknown, ...args: unknown[]) => boolean;

interface ApiConfig extends InstrumentationConfig {
  readonly onLoad: (exports: Api) => void;
}

/** The package every set-up goes through; a program may have a copy of its own. */
class ApiInstrumentation extends InstrumentationBase<ApiConfig> {
  constructor(onLoad: ApiConfig["onLoad"]) {
    super("vitrine/opentelemetry-api", "0.1.0", { onLoad });
  }

  protected override init() {
    return new InstrumentationNodeModuleDefinition("@opentelemetry/api", [">=1.0.0 <2"], (exports: Api) => {
      this.getConfig().onLoad(exports);
      return exports;
    });
  }
}

/** Calls `found` just before somebody else sets a global tracer provider, context manager or propagator. Returns what stops that. */
export function watchForOtherSdk(found: () => void): () => void {
  const watched = new Map<object, () => void>();
  const watch = ({ trace, context, propagation }: Api): void => {
    for (const [holder, setter] of [
      [trace, "setGlobalTracerProvider"],
      [context, "setGlobalContextManager"],
      [propagation, "setGlobalPropagator"],
    ] as const) {
      if (!watched.has(holder)) watched.set(holder, before(holder, setter, found));
    }
  };
  const hook = new ApiInstrumentation(watch);
  watch(api);
  return () => {
    hook.disable();
    for (const undo of watched.values()) undo();
  };
}

/** Makes `holder` call `action` before its method; returns what takes that back. */
function before(holder: object, method: string, action: () => void): () => void {
  const methods = holder as Record<string, Setter>;
  const original = methods[method] as Setter;
  methods[method] = function (...args) {
    action();
    return original.apply(this, args);
  };
  return () => {
    // The class's own method shows through again.
    delete methods[method];
  };
}
