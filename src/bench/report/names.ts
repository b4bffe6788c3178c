import type { LatencyName, TracePart } from "../result.js";

export const LATENCIES: Readonly<Record<LatencyName, string>> = {
  ttft: "time to first token",
  tpot: "time per output token",
  itl: "between chunks",
  e2e: "whole request",
  queue: "waiting to be sent",
};

export const PARTS: Readonly<Record<TracePart, string>> = {
  client_queue: "waiting to be sent",
  network: "network",
  queue: "queue",
  tokenize: "tokenize",
  kv_allocate: "KV allocation",
  prefill: "prefill",
  decode: "decode",
  write: "write",
  other: "other",
};
