import { number } from "../format.js";
import { type Area, horizontalAxis, verticalAxis } from "./frame.js";
import { linear, logarithmic, type Scale } from "./scale.js";
import { element, label, path, picture, tip } from "./svg.js";

export interface Series {
  readonly name: string;
  /** `tone-1` … of the style; `dashed` beside it. */
  readonly style: string;
  readonly points: readonly { readonly x: number; readonly y: number; readonly low?: number; readonly high?: number }[];
}

export interface LinePlot {
  readonly title: string;
  readonly unit: string;
  readonly horizontal: string;
  readonly series: readonly Series[];
  /** A value to hold, such as an SLO. */
  readonly limit?: number;
}

export const PLOT_WIDTH = 460;
export const PLOT_HEIGHT = 290;
const AREA: Area = { left: 52, top: 56, right: 444, bottom: 240 };
/** Values that span more than this are drawn by their magnitude. */
const LINEAR_SPAN = 60;

/** Lines over a load, each named at the top, with whiskers where an interval is known. */
export function linePlot(plot: LinePlot): string {
  const points = plot.series.flatMap((series) => series.points);
  const horizontal = loadScale(points.map(({ x }) => x));
  const values = [
    ...points.flatMap(({ y, low = y, high = y }) => [y, low, high]),
    ...(plot.limit === undefined ? [] : [plot.limit]),
  ];
  const vertical = valueScale(values);
  const name = `${plot.title} (${plot.unit}) against ${plot.horizontal}`;
  return picture(
    PLOT_WIDTH,
    PLOT_HEIGHT,
    name,
    label({ class: "heading", x: 8, y: 18 }, `${plot.title}, ${plot.unit}`),
    verticalAxis(AREA, vertical),
    horizontalAxis(AREA, horizontal, plot.horizontal),
    limitLine(plot.limit, vertical),
    ...plot.series.map((series) => drawSeries(series, horizontal, vertical, plot.unit)),
    legend(plot.series),
  );
}

/** Every load is a tick; loads that double are as far apart as each other. */
function loadScale(values: readonly number[]): Scale {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const [low = 0, high = 1] = [distinct[0], distinct.at(-1)];
  const range = [AREA.left + 14, AREA.right - 14] as const;
  if (low === high) return { at: () => (AREA.left + AREA.right) / 2, ticks: distinct };
  const scale = low > 0 && high / low > 4 ? logarithmic([low, high], range) : linearTo(low, high, range);
  let reached = Number.NEGATIVE_INFINITY;
  const ticks = distinct.filter((value) => {
    const roomy = scale.at(value) - reached > 26;
    if (roomy) reached = scale.at(value);
    return roomy;
  });
  return { at: scale.at, ticks };
}

function linearTo(low: number, high: number, range: readonly [number, number]): Scale {
  return { at: (value) => range[0] + ((value - low) / (high - low)) * (range[1] - range[0]), ticks: [] };
}

function valueScale(values: readonly number[]): Scale {
  const above = values.filter((value) => value > 0);
  const [low, high] = [Math.min(...above), Math.max(...above, 0)];
  const range = [AREA.bottom, AREA.top] as const;
  if (above.length > 0 && high / low > LINEAR_SPAN) return logarithmic([low / 1.2, high * 1.1], range);
  return linear([0, high === 0 ? 1 : high], range, 4);
}

function drawSeries({ name, style, points }: Series, horizontal: Scale, vertical: Scale, unit: string): string {
  const placed = points.map((point) => ({ ...point, px: horizontal.at(point.x), py: vertical.at(point.y) }));
  const line = element("path", { class: `line ${style}`, d: path(placed.map(({ px, py }) => [px, py])) });
  const dots = placed.map(({ x, y, low, high, px, py }) => {
    const known = low !== undefined && high !== undefined;
    const whisker = known
      ? element("line", {
          class: `whisker ${style}`,
          x1: px,
          x2: px,
          y1: within(vertical.at(low)),
          y2: vertical.at(high),
        })
      : "";
    const spread = known ? ` (${number(low)} to ${number(high)})` : "";
    const words = tip(`${name} at ${number(x)}: ${number(y)} ${unit}${spread}`);
    // The dot is small and what is pointed at is not.
    const target = element("circle", { class: "target", cx: px, cy: py, r: 10 });
    return element("g", {}, words, whisker, element("circle", { class: `dot ${style}`, cx: px, cy: py, r: 3 }), target);
  });
  return line + dots.join("");
}

/** Of few repeats, an interval may reach below what can be. */
const within = (y: number): number => Math.min(AREA.bottom, y);

function limitLine(limit: number | undefined, vertical: Scale): string {
  if (limit === undefined) return "";
  const y = vertical.at(limit);
  const line = element("line", { class: "limit", x1: AREA.left, x2: AREA.right, y1: y, y2: y });
  return line + label({ class: "limit-text", x: AREA.right, y: y - 4, "text-anchor": "end" }, `SLO ${number(limit)}`);
}

function legend(series: readonly Series[]): string {
  let x = AREA.left;
  const entries = series.map(({ name, style }) => {
    const line = element("line", { class: `line ${style}`, x1: x, x2: x + 18, y1: 34, y2: 34 });
    const words = label({ class: "tick", x: x + 23, y: 37.5 }, name);
    x += 23 + name.length * 6.1 + 16;
    return line + words;
  });
  return series.length > 1 ? entries.join("") : "";
}
