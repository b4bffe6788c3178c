import type { ModelRunner } from "../../engine/runner.js";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice, LoadOptions, LoadPhase, LoadPhaseName } from "../../protocol.js";
import { reasonOf } from "../files/json-file.js";
import { type RehearsingRunner, rehearse } from "../native/rehearsal.js";
import {
  explainError,
  explainRehearsal,
  hasPassed,
  largestError,
  type RehearsalCheck,
} from "../native/rehearsal-check.js";

/** Does the work as a phase of the load, and keeps what `details` makes of its result. */
export type TimedPhase = <Result>(
  name: LoadPhaseName,
  work: () => Promise<Result>,
  details?: (result: Result) => Pick<LoadPhase, "rehearsal">,
) => Promise<Result>;

/** Whether the native runtime has to rehearse there. */
export type OnTrial = (device: DeviceChoice) => boolean;

export interface ProvedRunnerOptions {
  readonly options: LoadOptions;
  readonly timed: TimedPhase;
  /** The runner that `options` ask for; onnxruntime-node's where there is a reason against the native one. */
  readonly create: (unproved?: string) => Promise<RehearsingRunner>;
  readonly warmUp: (runner: ModelRunner) => Promise<void>;
  readonly isOnTrial: OnTrial | undefined;
}

export interface ProvedRunner {
  readonly runner: ModelRunner;
  readonly device: DeviceChoice;
}

/** In the CPU's memory nothing is copied that could be copied too late or not at all, and tests have run it. */
const isNotTheCpu: OnTrial = ({ provider }) => provider !== "cpu";

/**
 * A runner that has run. The native one on a device has to show first that it runs right there: where it does not, it is
 * disposed, and onnxruntime-node's takes its place, in another process where a run failed (`native_failed`). Throws
 * `device_unavailable` where the native one was asked for by name.
 */
export async function provedRunner(parts: ProvedRunnerOptions): Promise<ProvedRunner> {
  const { timed, create, isOnTrial = isNotTheCpu } = parts;
  const runner = await timed("session.create", () => create());
  const { runtime } = runner.device;
  if (runtime?.kind !== "native" || !isOnTrial(runner.device)) return warm(runner, parts);
  const verdict = await tryOut(runner, parts);
  if (verdict.kind === "passed") {
    const reason = `${runtime.reason} ${verdict.reason}`;
    return { runner, device: { ...runner.device, runtime: { ...runtime, reason } } };
  }
  await runner.dispose();
  if (runtime.requested === "native") {
    throw new VitrineError("device_unavailable", `${verdict.reason} Ask for --runtime node.`, { param: "runtime" });
  }
  if (verdict.kind === "broken") throw new VitrineError("native_failed", verdict.reason);
  return warm(await timed("session.create", () => create(verdict.reason)), parts);
}

async function warm(runner: ModelRunner, { timed, warmUp }: ProvedRunnerOptions): Promise<ProvedRunner> {
  try {
    await timed("warmup", () => warmUp(runner));
  } catch (error) {
    await runner.dispose();
    throw error;
  }
  return { runner, device: runner.device };
}

/** With the reason in sentences. */
interface Verdict {
  /** Where a run did not come to its end, no run of this process may. */
  readonly kind: "passed" | "wrong" | "broken";
  readonly reason: string;
}

async function tryOut(runner: RehearsingRunner, { timed, warmUp, options }: ProvedRunnerOptions): Promise<Verdict> {
  const where = nameOf(runner.device);
  const failed = (kind: "wrong" | "broken", what: string): Verdict => {
    return { kind, reason: `The native runtime failed its rehearsal on ${where}: ${what}.` };
  };
  try {
    await timed("warmup", () => warmUp(runner));
  } catch (error) {
    return failed("broken", `it could not run the model (${reasonOf(error).replace(/\.$/, "")})`);
  }
  const checks = await timed("rehearsal", () => rehearse(runner, options.maxSequences), summary);
  const { replay, plain } = apart(checks);
  const isBroken = checks.some((check) => check.failure !== undefined);
  const failure = explainRehearsal(isBroken ? checks : plain);
  if (failure !== undefined) return failed(isBroken ? "broken" : "wrong", failure);
  const without = explainRehearsal(replay);
  // Without the other way it is right all the same.
  if (without === undefined) runner.replay?.use(true);
  else runner.replay?.stop(`It failed its rehearsal: ${without}.`);
  const reason = `It passed its rehearsal on ${where} (${plain.length} checks, ${explainError(plain)}).`;
  return { kind: "passed", reason };
}

const apart = (checks: readonly RehearsalCheck[]) => ({
  replay: checks.filter(({ name }) => name === "replay"),
  plain: checks.filter(({ name }) => name !== "replay"),
});

function summary(checks: readonly RehearsalCheck[]): Pick<LoadPhase, "rehearsal"> {
  const largest = largestError(checks);
  const failed = checks.filter((check) => !hasPassed(check)).map(({ name }) => name);
  return { rehearsal: { checks: checks.length, ...(largest === undefined ? {} : { largestError: largest }), failed } };
}

/** `cuda:0`, or `cpu`. */
function nameOf({ provider, deviceId }: DeviceChoice): string {
  return deviceId === undefined ? provider : `${provider}:${deviceId}`;
}
