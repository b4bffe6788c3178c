import { duration, percent } from "../format.js";
import { horizontalAxis } from "./frame.js";
import { linear } from "./scale.js";
import { element, label, picture, tip } from "./svg.js";

export interface StackedBar {
  readonly name: string;
  readonly parts: readonly { readonly name: string; readonly style: string; readonly ms: number }[];
}

const WIDTH = 960;
const LEFT = 190;
const RIGHT = 880;
const TOP = 62;
const ROW = 34;

/** Parts end to end, a bar for each load. */
export function stackedBars(title: string, bars: readonly StackedBar[]): string {
  const total = ({ parts }: StackedBar): number => parts.reduce((sum, { ms }) => sum + ms, 0);
  const scale = linear([0, Math.max(...bars.map(total))], [LEFT, RIGHT], 6);
  const bottom = TOP + bars.length * ROW + 4;
  const area = { left: LEFT, right: RIGHT, top: TOP, bottom };
  const rows = bars.map((bar, index) => {
    const y = TOP + index * ROW + 7;
    let reached = 0;
    const pieces = bar.parts.map(({ name, style, ms }) => {
      const x = scale.at(reached);
      reached += ms;
      const words = tip(`${bar.name}: ${name} ${duration(ms)}, ${percent(ms / total(bar))}`);
      return element("rect", { class: `part ${style}`, x, y, width: scale.at(reached) - x, height: 20 }, words);
    });
    const name = label({ class: "row", x: LEFT - 12, y: y + 14, "text-anchor": "end" }, bar.name);
    return `${name}${pieces.join("")}${label({ class: "tick", x: scale.at(reached) + 6, y: y + 14 }, duration(reached))}`;
  });
  const grid = scale.ticks.map((tick) =>
    element("line", { class: "grid", x1: scale.at(tick), x2: scale.at(tick), y1: TOP, y2: bottom }),
  );
  return picture(
    WIDTH,
    bottom + 44,
    `${title}: mean milliseconds by part, a bar for each load`,
    label({ class: "heading", x: 8, y: 18 }, title),
    legend(bars),
    ...grid,
    ...rows,
    horizontalAxis(area, scale, "milliseconds, mean of a request"),
  );
}

/** Parts that took time in any bar. */
function legend(bars: readonly StackedBar[]): string {
  const used = new Map<string, string>();
  for (const { parts } of bars) for (const { name, style, ms } of parts) if (ms > 0) used.set(name, style);
  let x = LEFT;
  return [...used]
    .map(([name, style]) => {
      const box = element("rect", { class: `part ${style}`, x, y: 34, width: 11, height: 11 });
      const words = label({ class: "tick", x: x + 16, y: 43.5 }, name);
      x += 16 + name.length * 6.1 + 16;
      return box + words;
    })
    .join("");
}
