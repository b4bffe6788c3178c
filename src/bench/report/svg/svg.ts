/** Markup of a picture. All text goes through `text`, so that no name of a model or load is taken for markup. */

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

export const text = (raw: string): string => raw.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? "");

export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** An element; `children` are markup. Numbers are rounded to a hundredth of a pixel. */
export function element(tag: string, attributes: Attributes, ...children: readonly string[]): string {
  const written = Object.entries(attributes).flatMap(([name, value]) =>
    value === undefined ? [] : [` ${name}="${typeof value === "number" ? coordinate(value) : text(value)}"`],
  );
  return `<${tag}${written.join("")}>${children.join("")}</${tag}>`;
}

export function label(attributes: Attributes, words: string): string {
  return element("text", attributes, text(words));
}

/** What a reader who points at the shape, or cannot see it, is told. */
export const tip = (words: string): string => element("title", {}, text(words));

const coordinate = (value: number): string => String(Math.round(value * 100) / 100);

export const path = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], index) => `${index === 0 ? "M" : "L"}${coordinate(x)} ${coordinate(y)}`).join("");

/** A picture that scales to its place; `name` is what it shows. */
export function picture(width: number, height: number, name: string, ...children: readonly string[]): string {
  const attributes = { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name };
  return element("svg", { ...attributes, xmlns: "http://www.w3.org/2000/svg" }, ...children);
}
