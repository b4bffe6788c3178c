import { type Finding, ok, problem } from "./finding.js";

export interface OrtProbe {
  /** `ORT_DISABLE_TELEMETRY`. */
  readonly telemetry: string | undefined;
  /** Loads koffi's binary; rejects where it cannot. */
  loadKoffi(): Promise<unknown>;
  /** Runs a small model in a process of its own; rejects where that fails. */
  selfTest(): Promise<{ readonly version: string; readonly providers: readonly string[] }>;
}

export async function checkOnnxRuntime(probe: OrtProbe): Promise<Finding[]> {
  const koffi = await settled(probe.loadKoffi());
  const found: Finding[] = [
    probe.telemetry === "1"
      ? ok("its telemetry is off")
      : problem("its telemetry is not off", "Set ORT_DISABLE_TELEMETRY=1 in the environment."),
  ];
  if ("failure" in koffi) {
    // The self-test loads through koffi, and could say nothing else.
    const cure = "Run npm ci again on this machine: koffi's binary comes in a package for each platform.";
    return [problem(`koffi does not load: ${koffi.failure}`, cure), ...found];
  }
  const test = await settled(probe.selfTest());
  if ("failure" in test) {
    return [
      problem(test.failure, "Run npm ci again; onnxruntime-node must be the version of package-lock.json."),
      ...found,
    ];
  }
  const providers = test.value.providers.map((name) => name.replace(/ExecutionProvider$/, ""));
  return [
    ok(`ONNX Runtime ${test.value.version} ran a model through koffi`),
    ok(`its build knows the providers ${providers.join(", ")}`),
    ...found,
  ];
}

async function settled<T>(work: Promise<T>): Promise<{ value: T } | { failure: string }> {
  try {
    return { value: await work };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { failure: text.replace(/\s+/g, " ").replace(/\.$/, "").slice(0, 400) };
  }
}
