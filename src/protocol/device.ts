export type DeviceRequest = "auto" | "cpu" | `cuda` | `cuda:${number}`;
export type Dtype = "fp32" | "fp16" | "bf16" | "q4" | "q4f16" | "int8" | "uint8" | "bnb4";

/** Which way into ONNX Runtime: its C API, onnxruntime-node's binding, or the first that can run the graph. */
export type RuntimeRequest = "auto" | "native" | "node";

/** Which runner runs the model and why. */
export interface RuntimeChoice {
  readonly requested: RuntimeRequest;
  readonly kind: "native" | "node";
  /** One sentence, e.g. why `auto` fell back to onnxruntime-node. */
  readonly reason: string;
}

/** Where the model runs and why, as `/health`, the start-up log and spans report it. */
export interface DeviceChoice {
  readonly requested: DeviceRequest;
  readonly provider: "cpu" | "cuda";
  /** Set when the provider is `cuda`. */
  readonly deviceId?: number;
  /** Where the KV cache lies, which need not be where the model runs; set once a runner is made. */
  readonly kvCache?: "cpu" | "cuda";
  /** One sentence, e.g. why `auto` fell back to the CPU. */
  readonly reason: string;
  /** Set once a runner is made. */
  readonly runtime?: RuntimeChoice;
  /** Set for the native runtime on CUDA. */
  readonly replay?: ReplayChoice;
}

/** Whether decode steps are captured once and replayed, as a CUDA graph. */
export interface ReplayChoice {
  readonly on: boolean;
  /** One sentence. */
  readonly reason: string;
}
