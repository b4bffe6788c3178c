/** Markup of the report around its pictures. */
import { element, text } from "./svg/svg.js";

export { element, text };

/** Cells are text; those of the first column head their rows. */
export function table(caption: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const titles = head.map((title) => element("th", { scope: "col" }, text(title))).join("");
  const body = rows.map(([first = "", ...cells]) => {
    const columns = cells.map((cell) => element("td", {}, text(cell))).join("");
    return element("tr", {}, element("th", { scope: "row" }, text(first)), columns);
  });
  return element(
    "div",
    { class: "wide" },
    element(
      "table",
      {},
      element("caption", {}, text(caption)),
      `<thead><tr>${titles}</tr></thead>`,
      element("tbody", {}, ...body),
    ),
  );
}

/** A picture with what it shows as a table below, for who cannot see it or wants the numbers. */
export function figure(picture: string, fallback: string): string {
  return element("figure", {}, picture, element("details", {}, "<summary>The numbers</summary>", fallback));
}

export function section(title: string, intro: string, ...content: readonly string[]): string {
  return element(
    "section",
    {},
    element("h2", {}, text(title)),
    element("p", { class: "quiet" }, text(intro)),
    ...content,
  );
}
