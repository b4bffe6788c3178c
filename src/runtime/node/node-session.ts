import type { InferenceSession } from "onnxruntime-node";
import { isOutOfMemory } from "../../../native/native-error.js";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice } from "../../protocol.js";
import type { GraphFile } from "../files/graph-file.js";
import { reasonOf } from "../files/json-file.js";
import type { PreparedGraph } from "../graph/prepare-graph.js";
import type { GraphValue } from "../signature/graph-signature.js";
import { loadOnnxRuntime } from "./onnxruntime.js";
import { ortReason } from "./ort-reason.js";

/**
 * Creates onnxruntime-node's session for a graph. Throws `model_invalid` or `model_unsupported` for a graph it cannot
 * load, `device_unavailable` where the CUDA provider does not start.
 */
export async function createNodeSession(
  graph: PreparedGraph,
  device: DeviceChoice,
  threads: number,
): Promise<InferenceSession> {
  const { InferenceSession } = await loadOnnxRuntime();
  try {
    const { rewritten } = graph;
    const options = sessionOptions(device, threads);
    if (rewritten === undefined) return await InferenceSession.create(graph.path, options);
    return await InferenceSession.create(rewritten.bytes, {
      ...options,
      extra: { session: { model_external_initializers_file_folder_path: rewritten.folder } },
    });
  } catch (cause) {
    throw explainSessionFailure(cause, graph, device);
  }
}

function sessionOptions(device: DeviceChoice, threads: number): InferenceSession.SessionOptions {
  return {
    executionProviders: device.provider === "cuda" ? [{ name: "cuda", deviceId: device.deviceId ?? 0 }] : ["cpu"],
    // A decoder is a chain: running branches side by side only made the steps slower.
    executionMode: "sequential",
    interOpNumThreads: 1,
    ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
    logSeverityLevel: 4,
  };
}

/** Inputs and outputs as plain data. */
export function describeValues(metadata: readonly InferenceSession.ValueMetadata[]): GraphValue[] {
  return metadata.map((value) =>
    value.isTensor
      ? { name: value.name, type: value.type, shape: value.shape }
      : { name: value.name, type: undefined, shape: [] },
  );
}

export function explainSessionFailure(cause: unknown, graph: GraphFile, device: DeviceChoice): VitrineError {
  const reason = reasonOf(cause);
  if (isOutOfMemory(reason)) {
    const place =
      device.provider === "cuda" ? `on CUDA device ${device.deviceId ?? 0}` : "in this machine or its container";
    return new VitrineError(
      "device_unavailable",
      `${graph.path} does not fit: its weights take ${Math.round(graph.weightBytes / 2 ** 20)} MiB, for which there is no memory ` +
        `${place}. Use a smaller dtype (--dtype q4) or model, or end what else uses it. ONNX Runtime: ${reason}`,
      { param: "dtype", cause },
    );
  }
  if (device.provider === "cuda" && /cuda|cudnn|cublas|gpu|execution provider/i.test(reason)) {
    return new VitrineError(
      "device_unavailable",
      `CUDA device ${device.deviceId ?? 0} cannot be used: ${ortReason(reason)}. ` +
        '"vitrine doctor --device cuda" says what it needs and what is missing; or ask for --device cpu.',
      { param: "device", cause },
    );
  }
  if (/escapes model directory/i.test(reason)) {
    const message = `${graph.path}: its weights are links to another folder, which ONNX Runtime does not follow; put the files beside it.`;
    return new VitrineError("model_invalid", message, { cause });
  }
  if (/external data|external initializer|_data\b/i.test(reason)) {
    return new VitrineError(
      "model_invalid",
      `${graph.path}: the weights beside it are missing or shorter than the graph says; download them again. ` +
        `ONNX Runtime: ${reason}`,
      { cause },
    );
  }
  if (/not implemented|find an implementation|not a registered|unsupported (model IR|data type)|opset/i.test(reason)) {
    return new VitrineError("model_unsupported", `${graph.path} needs what ONNX Runtime here lacks: ${reason}`, {
      cause,
    });
  }
  return new VitrineError(
    "model_invalid",
    `${graph.path} cannot be loaded; it may be truncated or damaged: download it again. ONNX Runtime: ${reason}`,
    { cause },
  );
}
