import type { CheckRow } from "./check-row.js";
import type { CheckSettings } from "./settings.js";

export interface SectionContext {
  readonly settings: CheckSettings;
  /** Directory of the half-precision models (`halfPrecision`). */
  readonly model: string;
  /** Reports a row as soon as it is known. */
  readonly tell: (row: CheckRow) => void;
}

/** Some rows that are measured together, in a process of their own. */
export interface Section {
  readonly name: string;
  /** The process is killed after so long. */
  readonly limitS: number;
  readonly run: (context: SectionContext) => Promise<void>;
}
