import { quantileSorted } from "simple-statistics";
import { duration, percent } from "../format.js";
import { horizontalAxis } from "./frame.js";
import { logarithmic, type Scale } from "./scale.js";
import { element, label, path, picture, tip } from "./svg.js";

export interface Distribution {
  readonly name: string;
  /** Milliseconds, in no order. */
  readonly values: readonly number[];
}

const WIDTH = 960;
const LEFT = 190;
const RIGHT = 944;
const ROW = 62;
const TOP = 40;
const MOST_BINS = 72;
const MARKS = [0.5, 0.95, 0.99] as const;

/** One histogram above another over the same logarithmic axis, with median, 95th and 99th percentile. */
export function distributions(title: string, rows: readonly Distribution[]): string {
  const filled = rows.filter(({ values }) => values.some((value) => value > 0));
  const above = filled.flatMap(({ values }) => extremes(values));
  const scale = logarithmic([Math.min(...above) * 0.9, Math.max(...above) * 1.1], [LEFT, RIGHT]);
  const bottom = TOP + filled.length * ROW;
  const area = { left: LEFT, right: RIGHT, top: TOP, bottom };
  const grid = scale.ticks.map((tick) =>
    element("line", { class: "grid", x1: scale.at(tick), x2: scale.at(tick), y1: TOP, y2: bottom }),
  );
  return picture(
    WIDTH,
    bottom + 44,
    `${title}: a histogram for each load`,
    label({ class: "heading", x: 8, y: 18 }, title),
    ...grid,
    ...filled.map((row, index) => drawRow(row, index, scale)),
    horizontalAxis(area, scale, "milliseconds, logarithmic"),
  );
}

function extremes(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const value of values) {
    if (value > 0 && value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function drawRow({ name, values }: Distribution, index: number, scale: Scale): string {
  const base = TOP + (index + 1) * ROW - 8;
  const height = ROW - 16;
  // Fewer values, wider bins: else a histogram shows chance.
  const bins = Math.min(MOST_BINS, Math.max(12, Math.round(2.5 * Math.sqrt(values.length))));
  const shares = histogram(values, scale, bins);
  const most = Math.max(...shares);
  const width = (RIGHT - LEFT) / bins;
  const outline = shares.flatMap((share, bin): [number, number][] => {
    const y = base - (share / most) * height;
    return [
      [LEFT + bin * width, y],
      [LEFT + (bin + 1) * width, y],
    ];
  });
  const area = element("path", { class: "area", d: `${path([[LEFT, base], ...outline, [RIGHT, base]])}Z` });
  const sorted = [...values].sort((a, b) => a - b);
  const marks = MARKS.map((at) => mark(at, quantileSorted(sorted, at), scale, base, height));
  return [
    area,
    element("line", { class: "grid", x1: LEFT, x2: RIGHT, y1: base, y2: base }),
    ...marks,
    label({ class: "row", x: LEFT - 12, y: base - height / 2 + 2, "text-anchor": "end" }, name),
    label(
      { class: "tick", x: LEFT - 12, y: base - height / 2 + 17, "text-anchor": "end" },
      `median ${duration(quantileSorted(sorted, 0.5))}`,
    ),
  ].join("");
}

/** Shares of the values in bins that are as wide on the axis as each other. */
function histogram(values: readonly number[], scale: Scale, bins: number): number[] {
  const shares = Array.from({ length: bins }, () => 0);
  for (const value of values) {
    const bin = Math.floor(((scale.at(value) - LEFT) / (RIGHT - LEFT)) * bins);
    const within = Math.min(bins - 1, Math.max(0, bin));
    shares[within] = (shares[within] ?? 0) + 1 / values.length;
  }
  return shares;
}

function mark(at: number, value: number, scale: Scale, base: number, height: number): string {
  const x = scale.at(value);
  const words = tip(`${percent(at)} took at most ${duration(value)}`);
  const style = at === 0.5 ? "mark median" : "mark";
  const line = element("line", { class: style, x1: x, x2: x, y1: base - height, y2: base });
  const name = label({ class: "mark-text", x: x + 3, y: base - height + 8 }, `p${at * 100}`);
  const target = element("rect", { class: "target", x: x - 5, y: base - height, width: 10, height });
  return element("g", {}, words, line, name, target);
}
