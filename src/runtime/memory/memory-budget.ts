import { MOST_SCORED, TOP_LOGITS } from "../../engine/runner.js";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice, ModelDescription } from "../../protocol.js";

/** A device's memory, or this machine's, in bytes. */
export interface MemoryState {
  /** By all processes. */
  readonly used: number;
  readonly total: number;
}

/** What takes memory beside weights and KV cache, once requests come. */
export interface Claim {
  readonly what: string;
  readonly bytes: number;
}

export type CacheSizes = Pick<
  ModelDescription,
  "name" | "contextLength" | "kvBytesPerToken" | "kvTensorBytesPerToken" | "vocabSize"
>;

/** A model as it runs, loaded and warm. */
export interface Load {
  readonly model: CacheSizes;
  readonly device: Pick<DeviceChoice, "provider" | "kvCache" | "runtime">;
  readonly maxSequences: number;
}

const FLOAT = Float32Array.BYTES_PER_ELEMENT;
const INT64 = BigInt64Array.BYTES_PER_ELEMENT;
/** Of a machine's memory; a GPU's share is an option. */
const HOST_SHARE = 0.95;
/** A cache that holds less is good for nothing. */
const LEAST_TOKENS = 256;

/**
 * Bytes that the KV cache may take of a GPU's memory, or 0 where it lies in the machine's. Throws `device_unavailable` where
 * that does not hold one sequence of the model's whole context.
 * @param share 0 to 1, of all the device has
 */
export function gpuBudget(memory: MemoryState, share: number, load: Load): number {
  const { model, device } = load;
  const claims = claimsOnGpu(load);
  const left = Math.floor(memory.total * share) - memory.used - sum(claims);
  const onGpu = device.kvCache !== "cpu";
  const budget = onGpu ? largestCache(left, load) : 0;
  if (onGpu ? budget >= sequenceBytes(model) : left >= 0) return budget;
  const moving = growing(model);
  const told = onGpu ? [...claims, moving] : claims;
  const cache = onGpu
    ? `, which leaves ${size(left - moving.bytes)} for the KV cache. ${sequenceTakes(model)}`
    : `, which is ${size(-left)} too much.`;
  throw new VitrineError(
    "device_unavailable",
    `${model.name} does not fit on the GPU: of its ${size(memory.total)}, ${percent(share)} may be used; ` +
      `${size(memory.used)} are in use with the model loaded, and ${list(told)}${cache} Use a smaller dtype, free memory that ` +
      "other processes hold, raise --gpu-memory-utilization, or give --kv-memory to serve shorter sequences.",
    { param: "gpu-memory-utilization" },
  );
}

/** Bytes that the KV cache may take of this machine's memory, and what to warn of. */
export interface HostBudget {
  readonly bytes: number;
  readonly warning?: string;
}

/**
 * As much as is asked for, or as is free, where that was nobody's explicit wish. Shorter sequences than the model's are
 * served where no more fits; throws `device_unavailable` where there is no memory even for those.
 * @param asked bytes @param explicit somebody asked for them by `--kv-memory`
 */
export function hostBudget(memory: MemoryState, asked: number, explicit: boolean, load: Load): HostBudget {
  const { model } = load;
  const claims = claimsOnHost(load);
  const left = Math.floor(memory.total * HOST_SHARE) - memory.used - sum(claims);
  const numbers =
    `of this machine's ${size(memory.total)} (or its container's), ${size(memory.used)} are in use with the model loaded, and ` +
    `${list(claims)}, which leaves ${size(left)} for the KV cache`;
  const most = Math.max(0, largestCache(left, load));
  // More than all sequences of the whole context it never grows to.
  const wanted = Math.min(asked, load.maxSequences * sequenceBytes(model));
  if (!explicit && most < Math.min(LEAST_TOKENS, model.contextLength) * model.kvBytesPerToken) {
    throw new VitrineError(
      "device_unavailable",
      `${model.name} does not fit: ${numbers}. ${sequenceTakes(model)} Use a smaller dtype or model, or a machine or container ` +
        "with more memory.",
      { param: "kv-memory" },
    );
  }
  if (!explicit) return { bytes: Math.min(asked, most) };
  if (wanted <= most) return { bytes: asked };
  const warning = `--kv-memory is ${size(asked)}, but ${numbers}: as it fills, the engine may be killed for want of memory.`;
  return { bytes: asked, warning };
}

/**
 * Throws `device_unavailable` where not even the weights fit: the engine would be killed as it loads them, or fail with less
 * to say. @param share of a GPU's memory; absent for this machine's
 */
export function refuseWeights(graph: string, weightBytes: number, { total }: MemoryState, share?: number): void {
  if (weightBytes <= total * (share ?? 1)) return;
  const place =
    share === undefined
      ? `there are ${size(total)} of memory in this machine or its container`
      : `of the GPU's ${size(total)}, ${percent(share)} may be used`;
  throw new VitrineError(
    "device_unavailable",
    `${graph} does not fit: its weights take ${size(weightBytes)}, and ${place}. Use a smaller dtype (--dtype q4) or model, or ` +
      "a device with more memory.",
    { param: "dtype" },
  );
}

/** Those that the warm-up did not make yet. */
function claimsOnGpu(load: Load): Claim[] {
  const { model, device, maxSequences } = load;
  if (device.runtime?.kind === "node") {
    // Each run takes one sequence's past there, and has its present there until it has come back.
    return [{ what: "a run's two copies of one sequence", bytes: 2 * sequenceBytes(model) }, scores(model)];
  }
  const kept = maxSequences * Math.min(TOP_LOGITS, model.vocabSize) * (FLOAT + INT64);
  return [logits(load), { what: "the likeliest tokens", bytes: kept }, scores(model)];
}

function claimsOnHost(load: Load): Claim[] {
  const { model, device } = load;
  // A run's present is another copy of the past; where it comes from a device, it takes the past's place when it is here.
  if (device.runtime?.kind === "node") return [{ what: "a run's copy of one sequence", bytes: sequenceBytes(model) }];
  return device.provider === "cpu" ? [logits(load), scores(model)] : [];
}

const logits = ({ model, maxSequences }: Load): Claim => ({
  what: "logits",
  bytes: maxSequences * model.vocabSize * FLOAT,
});

const scores = ({ vocabSize }: CacheSizes): Claim => ({
  what: "log probabilities of prompts",
  bytes: MOST_SCORED * vocabSize * FLOAT,
});

/** Rows are moved by way of a spare one, of one tensor; as the cache grows, it is there twice. */
const SPARE_ROWS = 2;

/**
 * What a cache of one sequence takes to grow. Its tensors do one at a time: one is there twice for a moment. Only the native
 * runner's cache grows.
 */
const growing = ({ contextLength, kvTensorBytesPerToken }: CacheSizes): Claim => ({
  what: "moving the cache as it grows",
  bytes: (1 + SPARE_ROWS) * contextLength * kvTensorBytesPerToken,
});

/** Of what is `left`, so that it can grow to that. Rows that are moved are no longer than a sequence, nor than the cache. */
function largestCache(left: number, { model, device }: Load): number {
  if (device.runtime?.kind === "node") return left;
  const { contextLength, kvBytesPerToken, kvTensorBytesPerToken } = model;
  const tensor = kvTensorBytesPerToken / kvBytesPerToken;
  const oneRow = left / (1 + (1 + SPARE_ROWS) * tensor);
  if (oneRow < sequenceBytes(model)) return Math.floor(oneRow);
  return Math.floor((left - SPARE_ROWS * contextLength * kvTensorBytesPerToken) / (1 + tensor));
}

const sequenceBytes = ({ contextLength, kvBytesPerToken }: CacheSizes): number => contextLength * kvBytesPerToken;

const sequenceTakes = (model: CacheSizes): string =>
  `One sequence of ${model.contextLength} tokens takes ${size(sequenceBytes(model))}.`;

const sum = (claims: readonly Claim[]): number => claims.reduce((bytes, claim) => bytes + claim.bytes, 0);

function list(claims: readonly Claim[]): string {
  if (claims.length === 0) return "nothing goes elsewhere";
  const parts = claims.map(({ what, bytes }) => `${size(bytes)} go to ${what}`);
  return parts.length === 1 ? (parts[0] ?? "") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;

function size(bytes: number): string {
  const some = Math.max(0, bytes);
  return some < 2 ** 30 ? `${Math.round(some / 2 ** 20)} MiB` : `${(some / 2 ** 30).toFixed(1)} GiB`;
}
