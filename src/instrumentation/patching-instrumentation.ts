import { readFileSync } from "node:fs";
import {
  InstrumentationBase,
  type InstrumentationConfig,
  InstrumentationNodeModuleDefinition,
  InstrumentationNodeModuleFile,
} from "@opentelemetry/instrumentation";
import { systemClock } from "../tracing/clock.js";
import { systemQuiet } from "./decode-runs.js";
import type { TraceDetail } from "./forward-span.js";
import { Recorder } from "./recorder.js";

export interface LibraryInstrumentationConfig extends InstrumentationConfig {
  /** One span for all decode steps, or below it one for each; "phase" when absent. */
  readonly traceDetail?: TraceDetail;
}

/** A package whose functions are patched. */
export interface PatchedPackage {
  readonly name: string;
  readonly versions: string;
  /** Files that programs load by their own path, in place of the package's entry point. */
  readonly files: readonly string[];
}

const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

/**
 * An OpenTelemetry instrumentation that patches every copy of its packages that a program loads, as an ES module or in
 * CommonJS, and takes all patches back when it is disabled.
 */
export abstract class PatchingInstrumentation extends InstrumentationBase<LibraryInstrumentationConfig> {
  // Declared only: the base class's constructor calls `init` and `enable`, which come before any initializer here.
  declare protected recorder: Recorder;
  /** What was loaded, each with what takes its patches back. */
  declare private loaded: Map<object, (() => void) | undefined>;

  constructor(name: string, config: LibraryInstrumentationConfig) {
    super(name, version, config);
  }

  protected abstract packages(): readonly PatchedPackage[];

  /** Patches the module. Returns what programs are to get as its exports, and what undoes it. */
  protected abstract patchModule(exports: object): { readonly exports: object; readonly undo: () => void };

  protected override init(): InstrumentationNodeModuleDefinition[] {
    this.loaded = new Map();
    this.recorder = new Recorder({
      tracer: () => this.tracer,
      detail: () => this.getConfig().traceDetail ?? "phase",
      clock: systemClock,
      quiet: systemQuiet,
    });
    const adopt = (exports: object) => this.adopt(exports);
    return this.packages().map(({ name, versions, files }) => {
      const inside = files.map(
        (file) => new InstrumentationNodeModuleFile(`${name}/${file}`, [versions], adopt, () => {}),
      );
      return new InstrumentationNodeModuleDefinition(name, [versions], adopt, undefined, inside);
    });
  }

  /** Patches a module as it is loaded. */
  private adopt(exports: object): object {
    this.loaded.get(exports)?.();
    const patched = this.patchModule(exports);
    this.loaded.set(exports, patched.undo);
    return patched.exports;
  }

  override enable(): void {
    super.enable();
    for (const [exports, undo] of this.loaded) if (undo === undefined) this.adopt(exports);
  }

  override disable(): void {
    super.disable();
    for (const [exports, undo] of this.loaded) {
      undo?.();
      this.loaded.set(exports, undefined);
    }
    this.recorder.decodes.endAll();
  }
}
