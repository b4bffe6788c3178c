import { VitrineError } from "../../errors.js";
import type { BenchResult } from "../result.js";
import { loadPlots } from "./load-plots.js";
import { PICTURE_STYLE } from "./page-style.js";
import { linePlot, PLOT_HEIGHT, PLOT_WIDTH } from "./svg/line-plot.js";
import { element, text } from "./svg/svg.js";

const GAP = 12;
const ACROSS = 2;

/** Latency and throughput against load as one picture in a file of its own, light and dark as its reader is. */
export function loadPicture(result: BenchResult): string {
  const plots = loadPlots(result);
  if (plots.length === 0) {
    throw new VitrineError(
      "config_invalid",
      "--svg: a picture against load needs a sweep, such as --concurrency 1,4,16.",
    );
  }
  const down = Math.ceil(plots.length / ACROSS);
  const [width, height] = [GAP + ACROSS * (PLOT_WIDTH + GAP), GAP + down * (PLOT_HEIGHT + GAP)];
  const panels = plots.map(({ plot }, index) => {
    const x = GAP + (index % ACROSS) * (PLOT_WIDTH + GAP);
    const y = GAP + Math.floor(index / ACROSS) * (PLOT_HEIGHT + GAP);
    const place = { x, y, width: PLOT_WIDTH, height: PLOT_HEIGHT };
    return element("rect", { class: "ground", rx: 8, ...place }) + element("svg", place, linePlot(plot));
  });
  const attributes = { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, height };
  const name = `${result.target.model}: latency and throughput against load. ${result.command}`;
  return `${element("svg", { ...attributes, role: "img" }, element("title", {}, text(name)), `<style>${PICTURE_STYLE}</style>`, ...panels)}\n`;
}
