import type { Micros } from "../../protocol.js";
import type { StoreLimits } from "../store/trace-store.js";
import type { DeliveryLimits } from "./delivery.js";
import type { Destination } from "./destination.js";
import type { TailLimits } from "./tail-sampler.js";
import type { ZipkinEndpoint } from "./zipkin-span.js";

/** What the export thread is started with. */
export interface ThreadData {
  readonly ring: SharedArrayBuffer;
  /** One for each destination, in their order; one in all where there is none. */
  readonly counters: readonly SharedArrayBuffer[];
  readonly destinations: readonly Destination[];
  readonly localEndpoint: ZipkinEndpoint;
  /** One Int32: 1 once the thread has sent what it could after being told to shut down. */
  readonly flushed: SharedArrayBuffer;
  /** Of every span, besides its own attributes: OpenTelemetry's resource, without the service's name. */
  readonly resource?: Readonly<Record<string, string>>;
  /** Where the service listens, one Int32; 0 until it does. Shared, so that a request's spans cannot overtake it. */
  readonly port: SharedArrayBuffer;
  /** One Int32, raised by the thread every `heartbeatMs` as long as it is not stuck. */
  readonly heartbeat: SharedArrayBuffer;
  readonly heartbeatMs: number;
  readonly pricePerDeviceHour?: number;
  readonly storeLimits?: StoreLimits;
  /** Absent where every recorded span is to be kept. */
  readonly tailLimits?: TailLimits;
  readonly deliveryLimits: DeliveryLimits;
  /** How often the ring is emptied. */
  readonly drainMs: number;
  /** Module that exports `openGpuSampler(deviceId, tell)`. */
  readonly gpuModule: string;
  readonly gpuDeviceIds: readonly number[];
  /** `DeviceEnergy` of these devices, in their order. */
  readonly gpuEnergy: SharedArrayBuffer;
}

export type ToThread =
  | { readonly type: "get"; readonly id: number; readonly path: string }
  | { readonly type: "post"; readonly id: number; readonly list: Uint8Array; readonly gzip: boolean }
  /** Answered with `DeviceReading`s as JSON. */
  | { readonly type: "gpus"; readonly id: number }
  /** By the clock that all threads of a process share: one that hears of it late has less time. */
  | { readonly type: "shutdown"; readonly deadline: Micros };

export type FromThread =
  | { readonly type: "log"; readonly level: "info" | "warn" | "error"; readonly message: string }
  | { readonly type: "answer"; readonly id: number; readonly status: number; readonly body: string }
  | { readonly type: "stopped" };
