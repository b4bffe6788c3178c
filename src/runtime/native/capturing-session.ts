import type { OrtSession } from "../../../native/ort.js";
import type { DeviceChoice } from "../../protocol.js";
import { reasonOf } from "../files/json-file.js";
import type { PreparedGraph } from "../graph/prepare-graph.js";
import type { GraphSignature } from "../signature/graph-signature.js";
import { createNativeSession } from "./native-session.js";
import type { InputDevice } from "./step-input.js";

/** How ONNX Runtime's refusals to capture a graph begin (`InferenceSession::Initialize`). */
const REFUSAL = /cannot use the graph capture feature/;

export interface CapturingSession {
  readonly session: OrtSession;
  /** Why it captures nothing, as a sentence; undefined where it does. */
  readonly obstacle?: string;
}

export interface CapturingSessionOptions {
  readonly graph: PreparedGraph;
  readonly device: DeviceChoice;
  readonly threads: number;
  readonly replay?: boolean;
}

/**
 * A session that captures its runs on CUDA; an ordinary one where ONNX Runtime refuses that for the graph, or where it is
 * not wanted. Throws as `createNativeSession` does.
 */
export async function createCapturingSession(
  { graph, device, threads, replay = true }: CapturingSessionOptions,
  create: typeof createNativeSession = createNativeSession,
): Promise<CapturingSession> {
  if (device.provider === "cpu") return { session: await create(graph, device, threads) };
  if (!replay) return { session: await create(graph, device, threads), obstacle: "It was not asked for." };
  try {
    return { session: await create(graph, device, threads, { enable_cuda_graph: "1" }) };
  } catch (error) {
    const obstacle = whyNotCaptured(reasonOf(error));
    if (obstacle === undefined) throw error;
    return { session: await create(graph, device, threads), obstacle };
  }
}

/** A refusal as a sentence; undefined for another failure. */
export function whyNotCaptured(failure: string): string | undefined {
  if (!REFUSAL.test(failure)) return undefined;
  return /control flow/.test(failure)
    ? "The graph has control flow, which a CUDA graph cannot have."
    : "Some of the graph's operators run on the CPU, so a CUDA graph cannot be made of it.";
}

/** Why a captured run would not see what steps feed: what a graph reads on the CPU, it reads when it is captured. */
export function whyNoReplay(
  inputs: Pick<InputDevice, "reads"> | undefined,
  { inputIds, positionIds, rotaryPositions, attentionMask, lengths }: GraphSignature,
): string | undefined {
  const fed = [inputIds, positionIds, rotaryPositions, attentionMask, lengths && { name: lengths.rows }];
  const onCpu = fed.find((input) => input !== undefined && inputs?.reads(input.name) !== true);
  return onCpu && `The graph reads "${onCpu.name}" on the CPU, and a CUDA graph only what is on the device.`;
}
