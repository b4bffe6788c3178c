import type { RequestRecord } from "../../result.js";
import { count, duration } from "../format.js";
import { horizontalAxis } from "./frame.js";
import { evenTicks } from "./scale.js";
import { element, label, picture, tip } from "./svg.js";

const WIDTH = 960;
const LEFT = 16;
const RIGHT = 944;
const TOP = 52;
/** A page of more is slow to open, and shows no more. */
const MOST_DRAWN = 1_500;

interface Placed {
  readonly record: RequestRecord;
  readonly lane: number;
}

/** Each request in the first lane that is free: how many lanes there are is how many ran at once. */
export function lanesOf(records: readonly RequestRecord[]): readonly Placed[] {
  const ends: number[] = [];
  return [...records]
    .sort((a, b) => a.intended - b.intended)
    .map((record) => {
      const free = ends.findIndex((end) => end <= record.intended);
      const lane = free === -1 ? ends.length : free;
      ends[lane] = record.end;
      return { record, lane };
    });
}

/** Requests as bars along time: waiting to be sent, until the first token, and until the end. */
export function timeline(title: string, all: readonly RequestRecord[]): string {
  const placed = lanesOf(all.slice(0, MOST_DRAWN));
  const lanes = Math.max(1, ...placed.map(({ lane }) => lane + 1));
  const start = Math.min(...placed.map(({ record }) => record.intended));
  const length = Math.max(1, Math.max(...placed.map(({ record }) => record.end)) - start);
  const height = Math.min(360, Math.max(60, lanes * 16));
  const area = { left: LEFT, right: RIGHT, top: TOP, bottom: TOP + height };
  const scale = {
    at: (ms: number): number => LEFT + (ms / length) * (RIGHT - LEFT),
    ticks: evenTicks([0, length], 8),
  };
  const omitted = all.length - placed.length;
  const name = omitted > 0 ? `${title}, the first ${count(placed.length, "request")} of ${all.length}` : title;
  // A view box of its own, in milliseconds and lanes: to look closer is to change it.
  const view = {
    class: "zoomable",
    x: LEFT,
    y: TOP,
    width: RIGHT - LEFT,
    height,
    viewBox: `0 0 ${length} ${lanes}`,
    preserveAspectRatio: "none",
  };
  return picture(
    WIDTH,
    area.bottom + 44,
    `${name}: when each was waiting, reading its prompt and generating`,
    label({ class: "heading", x: 8, y: 18 }, name),
    legend(),
    element("svg", view, ...placed.map((one) => drawRequest(one, start))),
    element("g", { class: "time-axis" }, horizontalAxis(area, scale, "time since the first request", duration)),
  );
}

const STATES = [
  ["wait", "waiting to be sent"],
  ["first", "until its first token"],
  ["rest", "generating"],
  ["failed", "failed"],
  ["cancelled", "cancelled"],
] as const;

function drawRequest({ record, lane }: Placed, start: number): string {
  const { intended, sent, firstToken, end, outcome } = record;
  const ended = outcome.kind === "ok" ? undefined : outcome.kind === "cancelled" ? "cancelled" : "failed";
  const piece = (style: string, from: number, to: number): string =>
    to > from
      ? element("rect", { class: `state ${style}`, x: from - start, y: lane + 0.1, width: to - from, height: 0.8 })
      : "";
  const token = firstToken ?? end;
  const pieces = [
    piece("wait", intended, sent),
    piece(ended ?? "first", sent, token),
    piece(ended ?? "rest", token, end),
  ];
  return element("g", {}, tip(describe(record, start)), ...pieces);
}

function describe({ intended, firstToken, end, outputTokens, traceId, outcome }: RequestRecord, start: number): string {
  const words = [`at ${duration(intended - start)}`, `took ${duration(end - intended)}`];
  if (firstToken !== undefined) words.push(`first token after ${duration(firstToken - intended)}`);
  if (outputTokens !== undefined) words.push(count(outputTokens, "token"));
  if (outcome.kind !== "ok") words.push(outcome.kind === "http" ? `HTTP ${outcome.status}` : outcome.kind);
  if (traceId !== undefined) words.push(`trace ${traceId}`);
  return words.join(", ");
}

function legend(): string {
  let x = LEFT;
  return STATES.map(([style, name]) => {
    const box = element("rect", { class: `state ${style}`, x, y: 30, width: 11, height: 11 });
    const words = label({ class: "tick", x: x + 16, y: 39.5 }, name);
    x += 16 + name.length * 6.1 + 16;
    return box + words;
  }).join("");
}
