import { NativeError, OrtEnvironment, OrtSession, selfTestOrt } from "../../native/ort.js";
import { VitrineError } from "../errors.js";
import type { DeviceChoice } from "../protocol.js";
import type { PreparedGraph } from "./graph/prepare-graph.js";
import { explainSessionFailure } from "./node-session.js";
import { disableTelemetry } from "./onnxruntime.js";

/**
 * Creates a session through ONNX Runtime's C API, once the library has passed its self-test. Throws `internal` where it
 * does not fit, else as `createNodeSession` does.
 */
export async function createNativeSession(
  graph: PreparedGraph,
  device: DeviceChoice,
  threads: number,
): Promise<OrtSession> {
  disableTelemetry();
  try {
    await selfTestOrt();
    const environment = OrtEnvironment.open();
    const cuda = device.provider === "cuda" ? { cudaDevice: device.deviceId ?? 0 } : {};
    const { rewritten } = graph;
    const data = rewritten ? { externalDataFolder: rewritten.folder } : {};
    return await OrtSession.create(environment, rewritten?.bytes ?? graph.path, { threads, ...data, ...cuda });
  } catch (cause) {
    if (cause instanceof NativeError && cause.code === "library") {
      throw new VitrineError("internal", cause.message, { cause });
    }
    throw explainSessionFailure(cause, graph, device);
  }
}
