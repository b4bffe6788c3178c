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

/** Its exports, as programs are to get them, and what takes each patch back. */
export interface PatchedModule {
  readonly exports: object;
  readonly undo: readonly (() => void)[];
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
  declare private loaded: Map<object, PatchedModule["undo"] | undefined>;

  constructor(name: string, config: LibraryInstrumentationConfig) {
    super(name, version, config);
  }

  protected abstract packages(): readonly PatchedPackage[];

  protected abstract patchModule(exports: object): PatchedModule;

  protected override init(): InstrumentationNodeModuleDefinition[] {
    this.loaded = new Map();
    this.recorder = new Recorder({
      tracer: () => this.tracer,
      detail: () => this.getConfig().traceDetail ?? "phase",
      clock: systemClock,
      quiet: systemQuiet,
    });
    const adopt = (exports: object) => this.instrumentModule(exports);
    return this.packages().map(({ name, versions, files }) => {
      const inside = files.map(
        (file) => new InstrumentationNodeModuleFile(`${name}/${file}`, [versions], adopt, () => {}),
      );
      return new InstrumentationNodeModuleDefinition(name, [versions], adopt, undefined, inside);
    });
  }

  /**
   * Patches a module, which happens by itself as it is loaded. For one that no hook sees, because a bundler put it into the
   * program or because it was there before: give it here, and use what is returned in its place.
   */
  instrumentModule<T extends object>(exports: T): T {
    if (!this.isEnabled()) {
      this.loaded.set(exports, undefined);
      return exports;
    }
    this.loaded.get(exports)?.forEach((undo) => void undo());
    const patched = this.patchModule(exports);
    this.loaded.set(exports, patched.undo);
    return patched.exports as T;
  }

  override enable(): void {
    super.enable();
    for (const [exports, undo] of this.loaded) if (undo === undefined) this.instrumentModule(exports);
  }

  override disable(): void {
    super.disable();
    for (const [exports, undo] of this.loaded) {
      undo?.forEach((one) => void one());
      this.loaded.set(exports, undefined);
    }
    this.recorder.decodes.endAll();
  }
}
