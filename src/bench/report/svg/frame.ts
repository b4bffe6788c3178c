import type { Scale } from "./scale.js";
import { tickText } from "./scale.js";
import { element, label } from "./svg.js";

/** The rectangle that data is drawn in, within its picture. */
export interface Area {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Lines across at each tick, and their values at the left. */
export function verticalAxis(area: Area, scale: Scale): string {
  const lines = scale.ticks.map((tick) => {
    const y = scale.at(tick);
    const line = element("line", { class: "grid", x1: area.left, x2: area.right, y1: y, y2: y });
    return line + label({ class: "tick", x: area.left - 6, y: y + 3.5, "text-anchor": "end" }, tickText(tick));
  });
  return lines.join("");
}

/** Marks and values below, and what they are. */
export function horizontalAxis(area: Area, scale: Scale, name: string, format = tickText): string {
  const base = element("line", { class: "axis", x1: area.left, x2: area.right, y1: area.bottom, y2: area.bottom });
  const ticks = scale.ticks.map((tick) => {
    const x = scale.at(tick);
    const mark = element("line", { class: "axis", x1: x, x2: x, y1: area.bottom, y2: area.bottom + 4 });
    return mark + label({ class: "tick", x, y: area.bottom + 16, "text-anchor": "middle" }, format(tick));
  });
  const middle = (area.left + area.right) / 2;
  const title = label({ class: "unit", x: middle, y: area.bottom + 32, "text-anchor": "middle" }, name);
  return base + ticks.join("") + title;
}
