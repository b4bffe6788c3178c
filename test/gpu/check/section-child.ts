/** One section in its process: settings as its argument, rows on descriptor 3, a line each, and `null` after the last. */
import { writeSync } from "node:fs";
import { type CheckRow, failureOf } from "./check-row.js";
import type { SectionOrder } from "./section-process.js";
import { SECTIONS } from "./sections.js";
import { settingsFor } from "./settings.js";

const ROWS = 3;
const { section, device, model } = JSON.parse(process.argv[2] ?? "") as SectionOrder;
// Whoever started this one is gone, and nobody else would end it: it leads a group of its own.
process.stdin.once("close", () => process.kill(-process.pid, "SIGKILL")).resume();
const tell = (row: CheckRow | null) => writeSync(ROWS, `${JSON.stringify(row)}\n`);
try {
  await SECTIONS.find(({ name }) => name === section)?.run({ settings: settingsFor(device), model, tell });
} catch (error) {
  tell(failureOf(section, error));
}
tell(null);
// Native libraries' threads would keep it alive.
process.exit(0);
